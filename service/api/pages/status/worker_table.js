// The table of living workers.

import { counted, duration, figure } from "./format.js";

const EXECUTIONS = { stepwise: "step by step", whole_loop: "whole loops" };

/** @param {object[]} workers of `GET /v1/status` */
export function showWorkers(workers) {
  const table = document.getElementById("workers");
  const names = [...table.querySelectorAll("th")].map((head) => head.textContent);
  const sorted = [...workers].sort((one, other) => one.name.localeCompare(other.name));
  table.hidden = !workers.length;
  document.getElementById("no-workers").hidden = workers.length > 0;
  table.tBodies[0].replaceChildren(...sorted.map((worker) => row(worker, names)));
}

function row(worker, names) {
  const state = document.createElement("i");
  state.className = worker.in_flight ? "dot busy" : "dot";
  const does = worker.in_flight ? `makes ${counted(worker.in_flight, "picture")}` : "idle";
  const rows = worker.rows_per_step === null ? "–" : `${figure(worker.rows_per_step)} of ${worker.max_batch}`;
  const cells = [
    [worker.name.slice(0, 8)],
    [state, does],
    [`${worker.in_flight} of ${worker.slots}`],
    [rows],
    [duration(worker.step_ms)],
    [EXECUTIONS[worker.execution] ?? worker.execution],
    [worker.pictures],
    [worker.runtime],
  ];
  const line = document.createElement("tr");
  line.setAttribute("role", "row");
  cells.forEach((content, number) => {
    const cell = document.createElement("td");
    cell.setAttribute("role", "cell");
    cell.dataset.name = names[number];
    cell.append(...content);
    line.append(cell);
  });
  return line;
}

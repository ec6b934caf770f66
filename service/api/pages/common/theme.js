// The button that changes between day and night; without a choice the page follows the system.

import { browserStorage } from "./storage.js";

const button = document.getElementById("theme-button");
const root = document.documentElement;

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function show() {
  button.textContent = isDark() ? "☀" : "☾";
  button.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
  button.title = button.getAttribute("aria-label");
}

const chosen = browserStorage.getItem("xmdpt-theme");
if (chosen) root.dataset.theme = chosen;
show();
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  browserStorage.setItem("xmdpt-theme", root.dataset.theme);
  show();
  document.dispatchEvent(new Event("theme"));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  show();
  document.dispatchEvent(new Event("theme"));
});

// What the page asks of the API: upload a photo, submit, follow, cancel, forget. It draws nothing.
//
// A photo is uploaded once and named by its id afterwards: the next picture of it sends some hundred bytes, and its
// vector is in the service's cache.

import { documentOf } from "./pose.js";
import { drop, remember } from "./uploads.js";

const PREVIEWS_A_JOB = 8;
const FINAL = ["succeeded", "failed", "cancelled"];
const OPEN = ["running", "cancelling"];
const OF_PHOTO = [413, 415, 422];

/**
 * One press of the button, and what came of it.
 * @typedef {object} Take
 * @property {string} id
 * @property {"one"|"several"|"morph"} mode
 * @property {object} photo see photo.js
 * @property {boolean} isFramed the photo is cropped around the person
 * @property {"model"|"source"} fit
 * @property {number} aspect width by height in which it is shown
 * @property {Array<object>} poses
 * @property {object} settings
 * @property {string} status
 * @property {string} source id of the photo that it was begun with
 * @property {object} urls of its job or batch
 * @property {Array<{index: number, blob: Blob, seed: number, job?: string}|null>} shots
 * @property {object} [job] as it ended
 * @property {string} [sentence] what went wrong
 */

/** Have a take begin; its `urls` are there then. */
export async function submit(client, take) {
  const isOne = take.mode === "one";
  const answer = await withSource(client, take, (source) =>
    client.json(isOne ? "/v1/jobs" : "/v1/batches", { body: isOne ? jobBody(take, source) : batchBody(take, source) }),
  );
  take.urls = answer.urls;
  take.status = "running";
  return answer;
}

/**
 * What happens to a take from now on.
 * @yields {{kind: "state"|"progress"|"preview"|"counted"|"shot"|"end"}} with what belongs to it
 */
export async function* follow(client, take) {
  yield* take.mode === "one" ? followJob(client, take) : followBatch(client, take);
}

/** End it early. */
export async function cancel(client, take) {
  await client.fetch(take.urls.cancel, { method: "POST" });
}

/**
 * Erase a take's pictures from the service, as far as they are still there.
 * @throws {Problem} why some of them may still be there; the others are gone
 */
export async function forget(client, take) {
  const jobs = take.mode === "one" ? [take.urls.self] : take.shots.filter(Boolean).map(({ job }) => `/v1/jobs/${job}`);
  const outcomes = await Promise.allSettled(jobs.map((address) => erase(client, address)));
  const failed = outcomes.find(({ status }) => status === "rejected");
  if (failed) throw failed.reason;
}

/** Erase a photo or a pose that was uploaded; see `uploads.js`. */
export async function forgetUpload(client, address) {
  await erase(client, address);
  drop(address);
}

async function erase(client, address) {
  try {
    await client.fetch(address, { method: "DELETE" });
  } catch (problem) {
    if (problem.status !== 404) throw problem;
  }
}

/** A pose of a file: key points, OpenPose's JSON or a drawn skeleton; with `isPhoto` that of the person in it. */
export async function readPose(client, file, isPhoto) {
  const form = new FormData();
  form.append("pose", file);
  if (isPhoto) {
    form.append("pose_kind", "photo");
    form.append("pose_frame", "person");
  }
  const { stored, madeAt } = await store(client, "/v1/poses", form);
  if (stored.keypoints) {
    // The page sends key points from now on. What could not be erased now waits for "Forget all".
    if (madeAt) forgetUpload(client, madeAt).catch(() => {});
    return stored;
  }
  const drawing = await (await client.fetch(stored.image)).blob();
  return { id: stored.id, picture: await dataAddress(drawing) };
}

/** Poses on the way from one to another, both included. */
export async function posesBetween(client, from, to, count) {
  const body = { from: documentOf(from), to: documentOf(to), count };
  return (await client.json("/v1/poses/between", { body })).data;
}

function fields({ settings, fit }, withPreviews) {
  const { num_images, ...rest } = settings;
  const every_steps = withPreviews ? Math.min(50, Math.max(1, Math.round(rest.steps / PREVIEWS_A_JOB))) : 0;
  return { ...rest, output: { format: "png", fit }, preview: { every_steps } };
}

function jobBody(take, source) {
  const { num_images } = take.settings;
  return { source, pose: documentOf(take.poses[0]), num_images, ...fields(take, true) };
}

function batchBody(take, source) {
  const matrix = { sources: [source], poses: take.poses.map(documentOf) };
  return { matrix, defaults: fields(take, false), on_invalid: "reject" };
}

/** Have the service keep something; `madeAt` is its address, null if it was there before. */
async function store(client, path, form) {
  const response = await client.fetch(path, { method: "POST", body: form });
  const stored = await response.json();
  const madeAt = response.status === 201 ? `${path}/${stored.id}` : null;
  if (madeAt) remember(madeAt);
  return { stored, madeAt };
}

async function withSource(client, take, send) {
  const { photo, isFramed } = take;
  const crop = isFramed ? "person" : "none";
  const isKnown = Boolean(photo.ids[crop]);
  try {
    photo.ids[crop] ??= await upload(client, photo, isFramed);
    take.source = photo.ids[crop];
    return await send({ id: take.source });
  } catch (problem) {
    const isGone = isKnown && problem.errors?.some(({ pointer }) => /sources?.*\/id$/.test(pointer));
    if (!isGone) throw problem;
    take.source = photo.ids[crop] = await upload(client, photo, isFramed);
    return send({ id: take.source });
  }
}

async function upload(client, photo, isFramed) {
  const form = new FormData();
  form.append("source", photo.blob, "photo");
  if (isFramed) form.append("source_crop", "person");
  try {
    return (await store(client, "/v1/sources", form)).stored.id;
  } catch (problem) {
    // Of a server that is busy the photo is not to blame.
    throw Object.assign(problem, { isOfPhoto: OF_PHOTO.includes(problem.status) });
  }
}

async function* followJob(client, take) {
  let job = null;
  for await (const { event, data } of client.events(take.urls.events)) {
    if (event === "status" || event === "end") {
      job = data;
      yield { kind: "state", job };
    } else if (event === "progress") yield { kind: "progress", ...data };
    else if (event === "preview") {
      const blob = await previewOf(client, data.url);
      if (blob) yield { kind: "preview", blob };
    }
  }
  // A stream that was picked up after the job's end says nothing any more.
  if (!FINAL.includes(job?.status)) job = await client.json(take.urls.self);
  for (const output of job.outputs) yield { kind: "shot", shot: await shotOf(client, output, output.index) };
  yield { kind: "end", status: job.status, job, problem: job.error };
}

async function* followBatch(client, take) {
  let [last, failure, batch] = [0, null, null];
  do {
    for await (const line of client.lines(take.urls.results, last)) {
      last = line.n;
      failure ??= line.error;
      if (line.outputs) {
        const shot = await shotOf(client, line.outputs[0], Number(line.custom_id.split("-p")[1]));
        yield { kind: "shot", shot: { ...shot, job: line.job_id } };
      }
      batch = await client.json(take.urls.self);
      yield { kind: "counted", counts: batch.request_counts, eta: batch.eta };
    }
    batch = await client.json(take.urls.self);
  } while (OPEN.includes(batch.status));
  const { total, succeeded } = batch.request_counts;
  const status = succeeded === total ? "succeeded" : failure ? "failed" : "cancelled";
  yield { kind: "end", status, problem: failure };
}

async function shotOf(client, { url, seed }, index) {
  return { index, seed, blob: await (await client.fetch(url)).blob() };
}

/** A preview comes and goes: one that is not there any more is no fault. */
async function previewOf(client, url) {
  try {
    return await (await client.fetch(url, { cache: "no-store" })).blob();
  } catch {
    return null;
  }
}

function dataAddress(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}

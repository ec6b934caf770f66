// The same picture from a shell and from Python: texts that run as they stand where curl or `xmdpt_client` is there.

import { documentOf } from "./pose.js";
import { exampleAddress } from "./photo.js";

/**
 * @param {object} order with photo, isFramed, fit, pose and settings
 * @param {string} origin address of this service
 * @param {boolean} hasKey the visitor uses a key; it is never written, the environment holds it
 * @returns {string} a command for a POSIX shell
 */
export function curl(order, origin, hasKey) {
  const { photo, isFramed, fit, pose, settings } = order;
  const isOne = settings.num_images === 1;
  const lines = [
    ...(photo.example ? [`curl -fsO ${exampleAddress(photo.example)}`] : []),
    "curl -f" + (hasKey ? ' -H "Authorization: Bearer $XMDPT_API_KEY"' : ""),
    ...(isOne ? [] : ["  -H 'Accept: application/zip'"]),
    `  -F ${quoted(`source=@${curlName(photo.name)}`)}`,
    ...(isFramed ? ["  -F source_crop=person"] : []),
    `  -F ${pose.id ? `pose_id=${pose.id}` : quoted(`pose=${JSON.stringify(documentOf(pose))};type=application/json`)}`,
    ...Object.entries(settings).map(([name, value]) => `  -F ${name}=${value}`),
    `  -F fit=${fit}`,
    `  -o ${isOne ? "picture.png" : "pictures.zip"} ${origin}/generate`,
  ];
  const first = photo.example ? `${lines.shift()}\n` : "";
  return first + lines.join(" \\\n");
}

/** Likewise in Python. */
export function python(order, origin, hasKey) {
  const { photo, isFramed, fit, pose, settings } = order;
  const document = documentOf(pose);
  const wishes = { ...settings, ...(fit === "source" ? { fit } : {}), ...(isFramed ? { crop: "person" } : {}) };
  const options = Object.entries(wishes).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ");
  const key = hasKey ? ', os.environ["XMDPT_API_KEY"]' : "";
  return [
    ...(hasKey ? ["import os"] : []),
    ...(photo.example ? ["import urllib.request"] : []),
    ...(hasKey || photo.example ? [""] : []),
    "from xmdpt_client import Client",
    "",
    ...(photo.example
      ? [`urllib.request.urlretrieve(${JSON.stringify(exampleAddress(photo.example))}, ${JSON.stringify(photo.name)})`]
      : []),
    `pose = ${JSON.stringify(document).replaceAll("null", "None")}`,
    `with Client(${JSON.stringify(origin)}${key}) as client:`,
    `    made = client.generate(${JSON.stringify(photo.name)}, pose, ${options})`,
    "for index, picture in enumerate(made.pictures):",
    '    picture.save(f"picture-{index}.png")',
  ].join("\n");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** In a form's field curl takes `;` and `,` of a file's name for its own signs, unless the name is quoted. */
function curlName(name) {
  return /[;,"\\]/.test(name) ? `"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : name;
}

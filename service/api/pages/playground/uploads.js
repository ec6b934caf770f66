// Addresses of photos and poses that this browser's visits have made the service keep, so that they can be erased
// there. What the service had before is not among them. It calls nobody.

import { browserStorage } from "../common/storage.js";

const NAME = "xmdpt-uploads";
// The service erases what nobody uses for a week: the oldest are gone by themselves.
const MOST = 500;

/** @returns {Array<string>} the oldest first */
export const uploads = () => JSON.parse(browserStorage.getItem(NAME) ?? "[]");

/** The service has begun to keep what is at this address. */
export function remember(address) {
  keep([...uploads(), address].slice(-MOST));
}

/** What was at this address is erased. */
export function drop(address) {
  keep(uploads().filter((each) => each !== address));
}

function keep(addresses) {
  if (addresses.length) browserStorage.setItem(NAME, JSON.stringify(addresses));
  else browserStorage.removeItem(NAME);
}

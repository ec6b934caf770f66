// Makes elements, of HTML and of SVG. It knows no page.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element.
 * @param {string} tag
 * @param {object} properties set as properties; those with a hyphen and `for` as attributes
 * @param {...(Node|string)} children
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "for") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** An SVG element with these attributes. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A picture of the page's own set (`index.html` holds it), which says nothing to a screen reader. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#icon-${name}` }));
}

/** Say what is wrong in its place, where it can be seen; nothing is wrong if the sentence is empty. */
export function say(place, sentence) {
  place.textContent = sentence;
  if (sentence) place.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

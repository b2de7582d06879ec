// The icons of static/img/icons.svg, for what scripts build; templates have {% icon %}.

const SVG = "http://www.w3.org/2000/svg";

/** An <svg> for the eye alone: what it stands in has a name of its own. */
export function icon(name, kind = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${kind}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

/** Another icon in the place of the one that svg shows. */
export function setIcon(svg, name) {
  svg.firstElementChild.setAttribute("href", `${document.body.dataset.icons}#${name}`);
}

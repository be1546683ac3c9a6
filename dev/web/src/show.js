/** Writes figures into the page. */

/** What stands where nothing is known. */
export const NOTHING = "–";

/** Puts `text` into the element with this id, and touches the page only if it is another one. */
export function show(id, text) {
  const place = document.getElementById(id);
  if (place.textContent !== text) place.textContent = text;
}

/** The same for a state, which is good or not. */
export function showState(id, text, isGood) {
  show(id, text);
  document.getElementById(id).classList.toggle("good", isGood);
}

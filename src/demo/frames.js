// The list of frames and requests, newest first. Tickets are left out of it: people show such lists to each other.

const FRAMES_MAX = 60;
const list = document.getElementById("frames");

/** `direction` is ↑ (from the page), ↓ (from the service) or · (about the connection). */
export function frame(direction, text) {
  if (!list) return;
  const item = document.createElement("li");
  const code = document.createElement("code");
  const time = document.createElement("time");
  time.textContent = new Date().toISOString().slice(11, 23);
  code.append(time, ` ${text.replace(/("ticket":")[^"]*/g, "$1…")}`);
  item.append(direction, code);
  list.prepend(item);
  if (list.children.length > FRAMES_MAX) list.lastElementChild.remove();
}

export const clearFrames = () => list?.replaceChildren();

// Keeps what carries `data-live` as fresh as the service: asks for this page again each second while it is looked at.
// Without this script the page is as fresh as its last load, and says of when that is.

const EVERY_MS = 1000;
const ANSWER_MS_MAX = 5000;

const live = document.getElementById("live");
const parts = () => [...document.querySelectorAll("[data-live][id]")];

let timer;
let asking = false;

async function ask() {
  const answer = await fetch(location.href, {
    headers: { accept: "text/html", "x-kept-fresh": "1" },
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

/** Puts what differs in place. What somebody is selecting stays until it is let go. */
function show(fresh) {
  const selection = document.getSelection();
  for (const old of parts()) {
    const next = fresh.getElementById(old.id);
    if (!next || next.outerHTML === old.outerHTML) continue;
    if (selection && !selection.isCollapsed && selection.containsNode(old, true)) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceWith(next);
    if (focused) [...next.querySelectorAll("a")].find((a) => a.getAttribute("href") === focused)?.focus();
  }
  if (fresh.title) document.title = fresh.title;
}

function say(state, text) {
  if (live.dataset.state === state) return;
  live.dataset.state = state;
  live.textContent = text;
}

async function refresh() {
  clearTimeout(timer);
  if (asking || document.hidden) return;
  asking = true;
  try {
    show(await ask());
    say("live", live.dataset.whenLive);
  } catch {
    say("stale", live.dataset.whenStale);
  } finally {
    asking = false;
    timer = setTimeout(refresh, EVERY_MS);
  }
}

if (live && parts().length > 0) {
  document.addEventListener("visibilitychange", refresh);
  timer = setTimeout(refresh, EVERY_MS);
}

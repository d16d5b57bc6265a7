// The comparison: the same payment for a page with a timer and for a page with the SDK, in four situations that a payer meets.

import { AMOUNT } from "./events.js";
import { COMPARE_WORDS } from "./compare-words.js";
import { newOrderId, parameters } from "./session.js";
import { about, operatorsLink, payAtProvider, publishPayment } from "./shop.js";
import { ServiceSide, TimerSide } from "./sides.js";
import { renderWords } from "./view.js";
import { addWords, say, sayMs, sayStatus, switchLanguage } from "./words.js";

const GIVE_UP_MS = 15_000;
const SLEEP_MS = 1000 * (Number(parameters.get("sleep_s")) || 10);
const SECOND_PAYMENT_MS = 1_000;
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Publishes for both orders in the same moment, and says when. */
async function paid(run, transaction) {
  run.paidAt ??= performance.now();
  const body = (side) => ({ order_id: side.orderId, status: "succeeded", amount: AMOUNT, provider_transaction_id: `${transaction}-${side.orderId}` });
  await Promise.all(run.sides.map((side) => publishPayment(body(side))));
}

/** What happens to the payer in each situation; `run` has the sides, and `paidAt` once the money has moved. */
const SITUATIONS = {
  // Somewhere within a period of the timer, as payers do.
  paid: async (run) => {
    await pause(2_000 + 2_000 * Math.random());
    await paid(run, "T1");
  },
  lost: async (run) => {
    await pause(300);
    run.paidAt = performance.now();
    await Promise.all(run.sides.map(({ orderId }) => payAtProvider(run.provider, orderId, AMOUNT)));
  },
  asleep: async (run) => {
    await pause(1_000);
    for (const side of run.sides) side.sleep();
    await pause(SLEEP_MS / 4);
    await paid(run, "T1");
    await pause(SLEEP_MS * 3 / 4);
    run.awakeAt = performance.now();
    for (const side of run.sides) side.wake();
  },
  twice: async (run) => {
    await pause(1_000);
    await paid(run, "T1");
    await pause(SECOND_PAYMENT_MS);
    await paid(run, "T2");
  },
};

const runs = {};
let playing = false;
let told = {};

async function play(name) {
  const id = newOrderId();
  const changed = () => render(name);
  const run = (runs[name] = { state: "playing", provider: told.provider_url, sides: [new TimerSide(`${id}-timer`, changed), new ServiceSide(id, changed)] });
  changed();
  try {
    await Promise.all(run.sides.map((side) => side.start()));
    await SITUATIONS[name](run);
    const deadline = (run.awakeAt ?? run.paidAt) + GIVE_UP_MS;
    while (run.sides.some(({ knownAt }) => knownAt === null) && performance.now() < deadline) await pause(50);
    run.state = "over";
  } catch (error) {
    Object.assign(run, { state: "broken", why: error.message });
  }
  for (const side of run.sides) side.stop();
  changed();
}

async function playAll(names) {
  if (playing) return;
  playing = true;
  renderButtons();
  for (const name of names) {
    if (parameters.has("play")) document.querySelector(`[data-situation=${name}]`).scrollIntoView({ block: "nearest" });
    await play(name);
  }
  playing = false;
  document.documentElement.dataset.played = names.at(-1);
  renderButtons();
}

const playable = () => Object.keys(SITUATIONS).filter((name) => name !== "lost" || told.provider_url);

function renderButtons() {
  for (const button of document.querySelectorAll("[data-play]")) {
    button.disabled = playing || !(button.dataset.play === "all" || playable().includes(button.dataset.play));
  }
  document.querySelector("[data-situation=lost]").dataset.noProvider = told.provider_url ? "no" : "yes";
}

function render(name) {
  const run = runs[name];
  if (!run) return;
  const card = document.querySelector(`[data-situation=${name}]`);
  card.dataset.state = run.state;
  for (const [index, side] of run.sides.entries()) {
    const place = card.querySelectorAll("[data-side]")[index];
    place.dataset.known = side.knownAt === null ? "no" : "yes";
    place.querySelector("[data-slot=requests]").textContent = String(side.requests);
    place.querySelector("[data-slot=known]").textContent = knowledge(run, side);
    place.querySelector("[data-slot=remark]").textContent = run.state === "over" ? remark(name, place.dataset.side, side) : "";
  }
  card.querySelector("[data-slot=trouble]").textContent = run.state === "broken" ? say("not_published", { why: run.why }) : "";
  const link = card.querySelector("[data-slot=timeline]");
  const href = run.state === "over" && operatorsLink(told, run.sides[1].orderId);
  link.hidden = !href;
  if (href) link.href = href;
}

/** A number and its unit stay on one line. */
const took = (ms) => sayMs(ms).replace(" ", "\u00a0");

function knowledge(run, side) {
  if (side.knownAt === null) {
    if (run.state === "over") return say("not_known", { s: GIVE_UP_MS / 1000 });
    if (side.asleep) return say("sleeping");
    return say(run.paidAt ? "paid_waiting" : "not_paid_yet");
  }
  if (run.awakeAt) return say("known_awake", { status: sayStatus(side.status), ms: took(side.knownAt - run.awakeAt) });
  return say("known_after", { status: sayStatus(side.status), ms: took(side.knownAt - run.paidAt) });
}

function remark(name, kind, side) {
  if (name === "lost" && kind === "service" && side.knownAt === null) return say("remark_lost_unanswered");
  return say(`remark_${name}_${kind}`);
}

function speak() {
  renderWords();
  document.title = say("compare_title");
  Object.keys(SITUATIONS).forEach(render);
}

async function begin() {
  addWords(COMPARE_WORDS);
  speak();
  document.getElementById("language").addEventListener("click", () => {
    switchLanguage();
    speak();
  });
  for (const button of document.querySelectorAll("[data-play]")) {
    const { play: name } = button.dataset;
    button.addEventListener("click", () => playAll(name === "all" ? playable() : [name]));
  }
  told = await about().catch(() => ({}));
  renderButtons();
  if (parameters.has("play")) await playAll(playable());
}

begin();

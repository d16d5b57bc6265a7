// The demo cashier: makes an order, waits for its result through the SDK (wait.js) and shows each state as it comes. The
// buttons that publish results are something only a demo may have.

import { Events } from "./events.js";
import { clearFrames } from "./frames.js";
import { newOrderId, parameters, remember, remembered } from "./session.js";
import { about, operatorsLink } from "./shop.js";
import { $, phaseOf, renderEvents, renderWait, renderWords } from "./view.js";
import { Wait } from "./wait.js";
import { switchLanguage } from "./words.js";

let wait;
let events;
/** What there is beside the page. */
let told = {};

const chosenTransport = () => document.querySelector("input[name=transport]:checked").value;

function startOrder(orderId, paidAt) {
  wait?.end();
  clearFrames();
  remember("order", orderId);
  remember("paid_at", paidAt ? String(paidAt) : "");
  const mine = (events = new Events(() => { if (mine === events) renderEvents(mine); }));
  const order = (wait = new Wait(orderId, paidAt, {
    changed: () => { if (order === wait && order) renderWait(order, mine); },
    received: (payment, skipped) => mine.came(payment, order.via ?? "snapshot", skipped),
    confirming: (at) => remember("paid_at", String(at)),
  }));
  renderEvents(events);
  wait.use(chosenTransport());
  linkTimeline();
}

function linkTimeline() {
  const href = operatorsLink(told, wait.orderId);
  $("timeline").hidden = !href;
  if (href) $("timeline").href = href;
}

function newOrder() {
  startOrder(newOrderId(), undefined);
  $("headline").focus({ preventScroll: true });
}

function speak() {
  renderWords();
  renderWait(wait, events);
  renderEvents(events);
}

function listen() {
  $("primary").addEventListener("click", () => {
    const phase = phaseOf(wait);
    if (phase === "ready") wait.startConfirming();
    else if (phase === "late") wait.checkAgain();
    else newOrder();
  });
  $("new-order").addEventListener("click", newOrder);
  $("language").addEventListener("click", () => {
    switchLanguage();
    speak();
  });
  for (const button of document.querySelectorAll("[data-publish]")) {
    // timeStamp is when the finger came up, on the clock of performance.now().
    button.addEventListener("click", ({ timeStamp }) => events.publish(wait, button.dataset.publish, timeStamp, { refund: button.dataset.refund }));
  }
  document.querySelector("[data-again]").addEventListener("click", ({ timeStamp }) => events.again(wait, timeStamp));
  document.querySelector("[data-out-of-order]").addEventListener("click", ({ timeStamp }) => events.outOfOrder(wait, timeStamp));
  for (const input of document.querySelectorAll("input[name=transport]")) {
    input.addEventListener("change", () => {
      remember("transport", input.value);
      wait.use(input.value);
    });
  }
  // How to connect again is the SDK's affair; the page only says that the device is offline.
  addEventListener("offline", () => wait.look());
  addEventListener("online", () => wait.look());
}

function begin() {
  const transport = parameters.get("transport") ?? remembered("transport");
  const input = [...document.querySelectorAll("input[name=transport]")].find(({ value }) => value === transport);
  if (input) input.checked = true;
  // A reload goes on with its order: the state is the service's, not the page's.
  const orderId = remembered("order");
  if (/^D[\w.-]{1,63}$/.test(orderId ?? "")) startOrder(orderId, Number(remembered("paid_at")) || undefined);
  else startOrder(newOrderId(), undefined);
  speak();
  listen();
  about().then((answer) => { told = answer; linkTimeline(); }, () => {});
}

begin();

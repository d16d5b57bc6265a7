// What is seen: writes the state of the wait and of the events into the page, and nothing else.

import { AMOUNT } from "./events.js";
import { languageTag, say, sayMoney, sayMs, sayStatus, sayTime, sayVia } from "./words.js";

export const $ = (id) => document.getElementById(id);

/** Sets a text only if it differs, so that a live region speaks only when something has changed. */
function write(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

export function phaseOf({ payment, paidAt, late }) {
  if (payment?.final) return payment.status;
  if (payment?.status === "requires_action") return "action";
  if (late) return "late";
  if (payment?.status === "authorized") return "held";
  return paidAt ? "confirming" : "ready";
}

function explain(phase, payment) {
  if (payment?.final && payment.status !== "succeeded" && payment.reason?.message) return payment.reason.message;
  return say(phase === "confirming" && payment?.status === "processing" ? "processing_text" : `${phase}_text`);
}

export function renderWait(wait, { took }) {
  const { payment, link } = wait;
  const phase = phaseOf(wait);
  Object.assign($("app").dataset, { phase, link, version: payment?.version ?? 0 });
  write("headline", say(phase));
  write("explanation", explain(phase, payment));
  const amount = sayMoney(payment?.amount ?? AMOUNT);
  write("amount", amount);
  write("merchant", wait.merchantId ?? "…");
  write("order", wait.orderId);
  renderRefund(payment?.refund);
  $("took").hidden = !took;
  if (took) write("took", say("took", { ms: sayMs(took.ms), via: sayVia(took.via) }));
  renderPrimary(phase, amount);
  $("press").hidden = !["confirming", "held", "action"].includes(phase);
  write("press", say(payment ? "press_next" : "press_first"));
  write("link-text", say(link === "live" && payment?.final ? "live_final" : link));
  $("new-order").hidden = Boolean(payment?.final);
  write("transport-hint", say(`${wait.transport}_hint`));
  renderFacts(wait);
}

function renderRefund(refund) {
  $("refund").hidden = !refund;
  if (!refund) return;
  const key = refund.status === "partial" && !refund.amount ? "refund_partial_plain" : `refund_${refund.status}`;
  write("refund", say(key, { amount: refund.amount && sayMoney(refund.amount) }));
}

function renderPrimary(phase, amount) {
  const primary = $("primary");
  const focused = document.activeElement === primary;
  primary.hidden = ["confirming", "held", "action"].includes(phase);
  if (focused && primary.hidden) $("headline").focus({ preventScroll: true });
  write("primary", phase === "ready" ? say("pay", { amount }) : say(phase === "late" ? "check_again" : "new_order"));
}

function renderFacts({ link, payment, reconnects, roundTripMs, acked, ticketUntil }) {
  write("fact-link", say(`link_${link}`));
  write("fact-version", String(payment?.version ?? 0));
  write("fact-reconnects", String(reconnects));
  write("fact-ping", roundTripMs === undefined ? "–" : sayMs(roundTripMs));
  write("fact-acked", acked ? say("version", { version: acked }) : "–");
  write("fact-ticket", Number.isFinite(ticketUntil) ? sayTime(ticketUntil) : "–");
}

export function renderEvents({ all, trouble, last }) {
  document.querySelector("[data-again]").disabled = !last;
  $("events").replaceChildren(...all.map((event) => (event.kind === "came" ? cameItem(event) : sentItem(event))));
  $("events-empty").hidden = all.length > 0;
  $("trouble").hidden = !trouble;
  if (trouble) write("trouble", say("not_published", { why: trouble.why ?? say("no_answer") }));
}

const sayResult = ({ status, refund }) => (refund ? `${sayStatus(status)} · ${say(`events_refund_${refund.status}`)}` : sayStatus(status));

function cameItem({ status, refund, version, via, ms, at }) {
  const more = `${say("version", { version })} · ${sayVia(via)} · ${sayTime(at)}`;
  return item({ kind: "came", status, via, refund: refund?.status ?? "" }, sayResult({ status, refund }), ms === undefined ? "" : sayMs(ms), more);
}

function sentItem({ status, refund, eventId, confirmedMs, more, why }) {
  const confirmed = eventId && say("confirmed_in", { ms: sayMs(confirmedMs), id: eventId });
  const outcome = more === "confirmed" ? "" : say(more, { why: why ?? say("no_answer") });
  const text = [confirmed, outcome].filter(Boolean).join("; ") || say("sending");
  return item({ kind: "sent", status }, say("published", { status: sayResult({ status, refund }) }), "", text);
}

function item(data, what, ms, more) {
  const element = document.createElement("li");
  Object.assign(element.dataset, data);
  for (const [name, text] of Object.entries({ what, ms, more })) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    element.append(span);
  }
  return element;
}

/** The words that never change but with the language. */
export function renderWords() {
  document.documentElement.lang = languageTag();
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-i18n]")) element.textContent = say(element.dataset.i18n);
  for (const element of document.querySelectorAll("[data-i18n-label]")) element.setAttribute("aria-label", say(element.dataset.i18nLabel));
  const button = $("language");
  button.textContent = say("language");
  button.lang = say("language_lang");
  button.setAttribute("aria-label", say("language_label"));
}

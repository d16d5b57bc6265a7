// The subscribe message of an event. WeChat refuses a field that is too long (47003), so texts are cut to what their kind allows.
const LENGTHS_MAX = { thing: 20, character_string: 32, phrase: 5, letter: 32, name: 10 };
const TIME = new Intl.DateTimeFormat("zh-CN", { timeZone: "Asia/Shanghai", year: "numeric", month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** { value, currency } in minor units, as an `amount` field wants it: ¥19.99. */
export function amountText(amount) {
  if (!amount) return "";
  const digits = new Intl.NumberFormat("en", { style: "currency", currency: amount.currency }).resolvedOptions().maximumFractionDigits;
  const number = (amount.value / 10 ** digits).toFixed(digits);
  return amount.currency === "CNY" ? `¥${number}` : number;
}

export function timeText(time) {
  const part = Object.fromEntries(TIME.formatToParts(new Date(time)).map(({ type, value }) => [type, value]));
  return `${part.year}年${part.month}月${part.day}日 ${part.hour}:${part.minute}`;
}

function cut(field, text) {
  const length = LENGTHS_MAX[field.replace(/\d+$/, "")];
  const characters = Array.from(text);
  return length && characters.length > length ? characters.slice(0, length).join("") : text;
}

/**
 * `settings`: of the merchant; `event`: the data of `payment.undelivered`; `recipient`: { openid, ...texts }, whose texts may
 * stand in the template as {name}, too. Gives null where the merchant has no text for the status.
 */
export function subscribeMessage(settings, event, recipient) {
  const status = settings.statuses[event.status];
  if (!status) return null;
  const texts = { ...recipient, order_id: event.order_id, status, amount: amountText(event.amount), time: timeText(event.occurred_at) };
  const fill = (text, encode = (value) => value) => text.replace(/\{(\w+)\}/g, (all, name) => (Object.hasOwn(texts, name) ? encode(String(texts[name])) : all));
  return {
    touser: recipient.openid,
    template_id: settings.template_id,
    ...(settings.page && { page: fill(settings.page, encodeURIComponent) }),
    miniprogram_state: settings.miniprogram_state ?? "formal",
    lang: settings.lang ?? "zh_CN",
    data: Object.fromEntries(Object.entries(settings.data).map(([field, text]) => [field, { value: cut(field, fill(text)) }])),
  };
}

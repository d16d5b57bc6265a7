// What a tab keeps over a reload: its order, its language, its way of waiting.

export const parameters = new URLSearchParams(location.search);

export function remembered(key) {
  try { return sessionStorage.getItem(`payment-notifier-demo-${key}`); } catch { return null; }
}

export function remember(key, value) {
  try { sessionStorage.setItem(`payment-notifier-demo-${key}`, value); } catch { /* private mode: nothing is kept */ }
}

export function newOrderId() {
  const time = new Date().toISOString().replace(/\D/g, "").slice(2, 14);
  const random = crypto.getRandomValues(new Uint32Array(1))[0].toString(36).toUpperCase().padStart(7, "0");
  return `D${time}-${random}`;
}

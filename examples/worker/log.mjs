// One JSON object a line, on standard output. Fields name orders and codes; never keys, payers or bodies.
export function log(level, message, fields = {}) {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
}

// The payment-notifier service. For production: an https address that is on the mini-program's lists of request and of
// socket domains.
module.exports = { service: 'http://127.0.0.1:8080' };

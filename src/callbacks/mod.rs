//! Notifications of payment providers: is it theirs, is it for this merchant, and which event does it report?
//!
//! Pure: the bridge gives headers, bytes and the time, and gets events to publish and the words that the provider wants
//! to hear. No I/O but for the key files at [`Accounts::load`], no clock. Whoever paid (openid, buyer_id, card) is never
//! read, so that it can never be logged, published or shown.

mod accounts;
mod alipay;
mod douyin;
mod draft;
mod error;
mod order_id_from;
mod provider;
mod receipt;
mod rsa_key;
mod stripe;
mod wechat_pay;

pub use accounts::Accounts;
pub use error::Error;
pub use provider::{Provider, failure_reply};
pub use receipt::{Code, Received, Refusal, Reply};

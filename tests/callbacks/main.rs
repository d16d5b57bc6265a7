//! Notifications of payment providers, signed with keys that were made for these tests, through the public door of the
//! room `callbacks`.

#![allow(clippy::unwrap_used, reason = "a helper of a test may panic as the test itself may")]

mod alipay;
mod arbitrary;
mod douyin;
mod load;
mod stripe;
mod support;
mod wechat_pay;

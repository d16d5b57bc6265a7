//! Typed settings: `config/default.toml`, then a file, then the environment.
//!
//! A wrong or unknown key is one line that names it and where it came from. Nothing of a secret is in any error.

mod callbacks;
mod check;
mod env;
mod error;
mod keys;
mod load;
mod mapping;
mod range;
mod secret;
mod secrets;
mod settings;
mod span;
mod store;
mod strength;

pub use callbacks::{AlipayAccount, Callbacks, DouyinAccount, SerialKey, StripeAccount, WechatPayAccount};
pub use error::Error;
pub use load::{env_variables, load, load_from};
pub use mapping::{Mapping, Scalar};
pub use secret::Secret;
pub use secrets::Secrets;
pub use settings::{
    Admin, Amqp, Demo, EscalatedOrders, Escalation, ForwardedHeader, Http, Inquiry, Live, LiveMode, LogFormat, Outbox,
    Payments, Settings, Telemetry, TicketKey, Tickets, Timeline,
};
pub use span::Span;
pub use store::Store;
pub use strength::{is_placeholder, rsa_fault, weakness};

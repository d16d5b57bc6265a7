//! Typed settings: `config/default.toml`, then a file, then the environment.
//!
//! A wrong or unknown key is one line that names it and where it came from. Nothing of a secret is in any error.

mod check;
mod file;
mod load;
mod secret;
mod settings;
mod span;

pub use load::{Error, env_variables, load, load_from};
pub use secret::Secret;
pub use settings::{
    Admin, AlipayAccount, Amqp, Callbacks, Demo, EscalatedOrders, Escalation, ForwardedHeader, Http, Inquiry, Live,
    LiveMode, LogFormat, Outbox, Payments, SerialKey, Settings, Store, StripeAccount, Telemetry, TicketKey, Tickets,
    Timeline, WechatPayAccount,
};
pub use span::Span;

//! Typed settings: `config/default.toml`, then a file, then the environment.
//!
//! A wrong or unknown key is one line that names it and where it came from. Nothing of a secret is in any error.

mod check;
mod file;
mod load;
mod secret;
mod settings;

pub use load::{Error, env_variables, load, load_from};
pub use secret::Secret;
pub use settings::{
    Admin, AlipayAccount, Amqp, Callbacks, Demo, ForwardedHeader, Http, LogFormat, Payments, SerialKey, Settings,
    Store, StripeAccount, Telemetry, TicketKey, Tickets, WechatPayAccount,
};

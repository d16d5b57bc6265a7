//! The providers, and how each wants to be answered.

use std::borrow::Cow;

use super::{Code, Reply};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Who notifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// WeChat Pay, API v3.
    WechatPay,
    /// Alipay, open platform.
    Alipay,
    /// Douyin mini-programs: the general trade system, and the older guaranteed payment (`ecpay`).
    Douyin,
    /// Stripe.
    Stripe,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::WechatPay, Self::Alipay, Self::Douyin, Self::Stripe];

    /// The name in the path of the callback, in events, settings and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WechatPay => "wechat_pay",
            Self::Alipay => "alipay",
            Self::Douyin => "douyin",
            Self::Stripe => "stripe",
        }
    }

    /// The provider of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name)
    }

    pub(super) fn success(self) -> Reply {
        match self {
            // The status alone tells WeChat Pay: 200 or 204, no body.
            Self::WechatPay => Reply { status: 204, content_type: JSON, body: Cow::Borrowed("") },
            // Any other byte, even a line end, and Alipay sends it again.
            Self::Alipay => Reply { status: 200, content_type: TEXT, body: Cow::Borrowed("success") },
            Self::Douyin => {
                Reply { status: 200, content_type: JSON, body: Cow::Borrowed(r#"{"err_no":0,"err_tips":"success"}"#) }
            }
            Self::Stripe => Reply { status: 200, content_type: JSON, body: Cow::Borrowed(r#"{"received":true}"#) },
        }
    }

    /// Makes the provider send again. `code` is one of ours: letters and `_`, so that it needs no escaping.
    pub(super) fn failure(self, status: u16, code: &'static str) -> Reply {
        match self {
            Self::WechatPay => {
                let body = format!(r#"{{"code":"FAIL","message":"{code}"}}"#);
                Reply { status, content_type: JSON, body: Cow::Owned(body) }
            }
            Self::Alipay => Reply { status, content_type: TEXT, body: Cow::Borrowed("failure") },
            Self::Douyin => {
                let body = format!(r#"{{"err_no":1,"err_tips":"{code}"}}"#);
                Reply { status, content_type: JSON, body: Cow::Owned(body) }
            }
            Self::Stripe => Reply { status, content_type: JSON, body: Cow::Owned(format!(r#"{{"error":"{code}"}}"#)) },
        }
    }
}

/// What to answer where the events could not be published in time: 503, so that the provider sends them again.
#[must_use]
pub fn failure_reply(provider: &str) -> Reply {
    reply(provider, 503, "unavailable")
}

pub(super) fn refusal_reply(provider: &str, code: Code) -> Reply {
    reply(provider, code.status(), code.as_str())
}

fn reply(provider: &str, status: u16, code: &'static str) -> Reply {
    match Provider::from_name(provider) {
        Some(provider) => provider.failure(status, code),
        None => Reply { status, content_type: TEXT, body: Cow::Borrowed(code) },
    }
}

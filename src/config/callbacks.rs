//! `[callbacks]`: the accounts at payment providers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;

/// `[callbacks]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct Callbacks {
    pub wechat_pay: Vec<WechatPayAccount>,
    pub alipay: Vec<AlipayAccount>,
    pub douyin: Vec<DouyinAccount>,
    pub stripe: Vec<StripeAccount>,
}

/// One of `[[callbacks.wechat_pay]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct WechatPayAccount {
    pub merchant_id: String,
    pub api_v3_key: Secret,
    #[serde(default)]
    pub mch_id: String,
    #[serde(default)]
    pub order_id_from: String,
    pub keys: Vec<SerialKey>,
}

/// A public key of the provider, by the serial that its notifications name.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct SerialKey {
    pub serial: String,
    pub public_key_file: PathBuf,
}

/// One of `[[callbacks.alipay]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct AlipayAccount {
    pub merchant_id: String,
    pub app_id: String,
    #[serde(default)]
    pub seller_id: String,
    #[serde(default)]
    pub order_id_from: String,
    pub public_key_file: PathBuf,
}

/// One of `[[callbacks.douyin]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct DouyinAccount {
    pub merchant_id: String,
    pub app_id: String,
    #[serde(default)]
    pub order_id_from: String,
    #[serde(default)]
    pub public_key_files: Vec<PathBuf>,
    #[serde(default)]
    pub tokens: Vec<Secret>,
}

/// One of `[[callbacks.stripe]]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "see config/default.toml")]
pub struct StripeAccount {
    pub merchant_id: String,
    pub signing_secrets: Vec<Secret>,
    #[serde(default)]
    pub order_id_from: String,
}

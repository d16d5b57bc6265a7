//! Which merchant has which account at which provider.

use std::collections::HashMap;
use std::fmt;

use http::HeaderMap;

use super::error::Error;
use super::provider::refusal_reply;
use super::receipt::{Fault, Meaning};
use super::{Code, Provider, Received, Refusal, alipay, douyin, stripe, wechat_pay};
use crate::config::Callbacks;
use crate::payment::MerchantId;

/// All accounts whose notifications are taken.
pub struct Accounts {
    wechat_pay: HashMap<MerchantId, wechat_pay::Account>,
    alipay: HashMap<MerchantId, alipay::Account>,
    douyin: HashMap<MerchantId, douyin::Account>,
    stripe: HashMap<MerchantId, stripe::Account>,
}

impl Accounts {
    /// Checks `[callbacks]` and reads its key files.
    ///
    /// # Errors
    /// [`Error`] for a key file that cannot be read or holds no RSA public key of at least 2048 bits, an `api_v3_key` that
    /// is not 32 bytes, a serial that is not its certificate's, a secret that is none of Stripe's, a weak token, an
    /// unknown `order_id_from`, an id out of its rule, and what is there twice.
    pub fn load(settings: &Callbacks) -> Result<Self, Error> {
        Ok(Self {
            wechat_pay: load_each(
                Provider::WechatPay,
                &settings.wechat_pay,
                |account| &account.merchant_id,
                wechat_pay::Account::load,
            )?,
            alipay: load_each(
                Provider::Alipay,
                &settings.alipay,
                |account| &account.merchant_id,
                alipay::Account::load,
            )?,
            douyin: load_each(
                Provider::Douyin,
                &settings.douyin,
                |account| &account.merchant_id,
                douyin::Account::load,
            )?,
            stripe: load_each(
                Provider::Stripe,
                &settings.stripe,
                |account| &account.merchant_id,
                stripe::Account::load,
            )?,
        })
    }

    /// The providers at which there is an account.
    pub fn providers(&self) -> impl Iterator<Item = Provider> {
        Provider::ALL.into_iter().filter(|provider| match provider {
            Provider::WechatPay => !self.wechat_pay.is_empty(),
            Provider::Alipay => !self.alipay.is_empty(),
            Provider::Douyin => !self.douyin.is_empty(),
            Provider::Stripe => !self.stripe.is_empty(),
        })
    }

    /// Verifies one notification and maps it. `provider` and `merchant_id` are those of the path, `body` is the body
    /// byte for byte as it came, `now_unix_s` is in seconds.
    ///
    /// # Errors
    /// [`Refusal`] with the reply for the provider.
    pub fn receive(
        &self,
        provider: &str,
        merchant_id: &MerchantId,
        headers: &HeaderMap,
        body: &[u8],
        now_unix_s: i64,
    ) -> Result<Received, Refusal> {
        let refuse = |fault: Fault| Refusal {
            code: fault.code,
            detail: fault.detail,
            reply: refusal_reply(provider, fault.code),
        };
        let unknown = |detail| refuse(Fault::new(Code::UnknownAccount, detail));
        let known = Provider::from_name(provider).ok_or_else(|| unknown("no such provider"))?;
        let meaning = match known {
            Provider::WechatPay => self.wechat_pay.get(merchant_id).map(|a| a.receive(headers, body, now_unix_s)),
            Provider::Alipay => self.alipay.get(merchant_id).map(|a| a.receive(body)),
            Provider::Douyin => self.douyin.get(merchant_id).map(|a| a.receive(headers, body)),
            Provider::Stripe => self.stripe.get(merchant_id).map(|a| a.receive(headers, body, now_unix_s)),
        };
        let meaning = meaning.ok_or_else(|| unknown("the merchant has no account there"))?;
        let (events, ignored, fault) = match meaning.map_err(refuse)? {
            Meaning::Payments(events) => (events, None, None),
            Meaning::Partly(events, fault) => (events, None, Some(fault)),
            Meaning::Nothing(why) => (Vec::new(), Some(why), None),
        };
        Ok(Received { events, ignored, partly_refused: fault.map(refuse), reply: known.success() })
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts")
            .field("wechat_pay", &self.wechat_pay.keys())
            .field("alipay", &self.alipay.keys())
            .field("douyin", &self.douyin.keys())
            .field("stripe", &self.stripe.keys())
            .finish()
    }
}

fn load_each<S, A>(
    provider: Provider,
    settings: &[S],
    merchant_id: impl Fn(&S) -> &String,
    load: impl Fn(&str, MerchantId, &S) -> Result<A, Error>,
) -> Result<HashMap<MerchantId, A>, Error> {
    let mut accounts = HashMap::with_capacity(settings.len());
    for (index, setting) in settings.iter().enumerate() {
        let section = format!("callbacks.{}[{index}]", provider.as_str());
        let key = format!("{section}.merchant_id");
        let id = MerchantId::new(merchant_id(setting)).map_err(|e| Error::new(&key, e))?;
        let account = load(&section, id.clone(), setting)?;
        if accounts.insert(id, account).is_some() {
            return Err(Error::new(key, format!("{:?} appears twice", merchant_id(setting))));
        }
    }
    Ok(accounts)
}

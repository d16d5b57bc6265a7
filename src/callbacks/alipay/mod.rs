//! Alipay: verify the signature over the sorted form, check whose it is, map it.
//!
//! Rules: the Alipay open platform, "异步通知验签" and "异步通知参数说明".

mod form;
mod map;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::form::Form;
use super::order_id_from::OrderIdFrom;
use super::receipt::{Fault, Meaning};
use super::rsa_key::{KeyFile, RsaKey};
use super::{Code, Error};
use crate::config::AlipayAccount;
use crate::payment::MerchantId;

/// One merchant's account.
pub(super) struct Account {
    merchant_id: MerchantId,
    app_id: Box<str>,
    seller_id: Option<Box<str>>,
    order_id_from: OrderIdFrom,
    key: RsaKey,
}

impl Account {
    /// # Errors
    /// [`Error`] that names a key under `section`.
    pub(super) fn load(section: &str, merchant_id: MerchantId, settings: &AlipayAccount) -> Result<Self, Error> {
        if settings.app_id.is_empty() {
            return Err(Error::new(format!("{section}.app_id"), "must not be empty"));
        }
        let file = KeyFile::read(&settings.public_key_file);
        let file = file.map_err(|clause| Error::new(format!("{section}.public_key_file"), clause))?;
        let seller_id = Some(settings.seller_id.as_str()).filter(|id| !id.is_empty()).map(Box::from);
        let order_id_from = OrderIdFrom::read(section, &settings.order_id_from, "passback_params")?;
        Ok(Self { merchant_id, app_id: settings.app_id.as_str().into(), seller_id, order_id_from, key: file.key })
    }

    /// # Errors
    /// `bad_signature`, `foreign` or `malformed`. Never `stale`: Alipay signs no time of sending that a repetition a day
    /// later would not also have, so repetitions are known by `notify_id` alone.
    pub(super) fn receive(&self, body: &[u8]) -> Result<Meaning, Fault> {
        let form = Form::parse(body).ok_or(Fault::new(Code::BadSignature, "not a form"))?;
        self.verify(&form)?;
        // Some notices that are of no trade name neither application nor seller.
        let trade_status = map::trade_status(&form);
        if form.text("app_id").map_or(trade_status.is_some(), |app_id| *app_id != *self.app_id) {
            return Err(Fault::new(Code::Foreign, "app_id belongs to another application"));
        }
        let Some(trade_status) = trade_status else { return Ok(Meaning::Nothing("event_type")) };
        if let Some(seller_id) = &self.seller_id
            && form.text("seller_id") != Some(seller_id)
        {
            return Err(Fault::new(Code::Foreign, "seller_id belongs to another seller"));
        }
        map::meaning(&self.merchant_id, self.order_id_from, &form, trade_status)
    }

    /// RSA PKCS#1 v1.5 with SHA-256 ("RSA2"). Most notices are signed without `sign_type`, some kinds with it;
    /// Alipay's own libraries differ on whether fields without a value are signed. Nothing in a notice says which.
    fn verify(&self, form: &Form) -> Result<(), Fault> {
        let sign = form.text("sign").ok_or(Fault::new(Code::BadSignature, "sign is missing"))?;
        let sign = STANDARD.decode(sign).unwrap_or_default();
        let variants: [&[&str]; 2] = [&["sign", "sign_type"], &["sign"]];
        let with_empty: &[bool] = if form.has_empty() { &[true, false] } else { &[true] };
        for (without, with_empty) in variants.iter().flat_map(|without| with_empty.iter().map(move |w| (without, *w))) {
            if self.key.verifies(&form.signed_text(without, with_empty), &sign) {
                return Ok(());
            }
        }
        Err(Fault::new(Code::BadSignature, "sign does not match"))
    }
}

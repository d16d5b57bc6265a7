//! In which language a page is: the one that was chosen on it, kept in a cookie, else what the browser prefers, else English.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use crate::operators::words::{CHINESE, ENGLISH, Words};

/// Of the query that chooses, and of the cookie that keeps the choice. A cookie is sent to each port of a host, so its name
/// says whose it is.
const PARAMETER: &str = "language";
const COOKIE: &str = "payment-notifier-language";
const COOKIE_LIFE_S: u32 = 365 * 24 * 3600;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operators) enum Language {
    English,
    Chinese,
}

impl Language {
    pub(in crate::operators) fn of(headers: &HeaderMap) -> Self {
        chosen(headers).unwrap_or_else(|| {
            let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
            preferred(accepted.unwrap_or_default())
        })
    }

    pub(super) fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::English => Self::Chinese,
            Self::Chinese => Self::English,
        }
    }

    /// Its own name for itself.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    fn from_tag(tag: &str) -> Option<Self> {
        [Self::English, Self::Chinese].into_iter().find(|language| language.words().tag == tag)
    }
}

/// Where a click on the other language leads from `here`.
pub(super) fn switch(here: &Uri, to: Language) -> String {
    let query = query_without_choice(here);
    let before = if query.is_empty() { String::new() } else { format!("{query}&") };
    format!("{}?{before}{PARAMETER}={}", here.path(), to.words().tag)
}

/// Keeps the choice of a query, and leads on to the same page without it.
pub(super) async fn keep_choice(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let tag = uri.query().into_iter().flat_map(|query| query.split('&')).find_map(|pair| {
        let (name, tag) = pair.split_once('=')?;
        (name == PARAMETER).then_some(tag)
    });
    let Some(language) = tag.filter(|_| request.method() == Method::GET).and_then(Language::from_tag) else {
        return next.run(request).await;
    };
    let query = query_without_choice(uri);
    let to = if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) };
    let cookie = format!("{COOKIE}={}; Path=/; Max-Age={COOKIE_LIFE_S}; HttpOnly; SameSite=Lax", language.words().tag);
    let mut response = Redirect::to(&to).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn query_without_choice(uri: &Uri) -> String {
    let pairs = uri.query().into_iter().flat_map(|query| query.split('&'));
    let others = pairs.filter(|pair| pair.split('=').next() != Some(PARAMETER) && !pair.is_empty());
    others.collect::<Vec<_>>().join("&")
}

fn chosen(headers: &HeaderMap) -> Option<Language> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    cookies.find_map(|(name, tag)| if name == COOKIE { Language::from_tag(tag) } else { None })
}

/// The first of those with the greatest weight (RFC 9110, 12.5.4). Whoever reads any Chinese reads the simplified one.
fn preferred(accepted: &str) -> Language {
    let mut best = (0.0, Language::English);
    for item in accepted.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let primary = parts.next().and_then(|tag| tag.split('-').next()).unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
        let language = match primary.to_ascii_lowercase().as_str() {
            "en" => Language::English,
            "zh" => Language::Chinese,
            _ => continue,
        };
        if let Some(weight) = weight.filter(|weight| *weight > best.0) {
            best = (weight, language);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_says_what_it_prefers() {
        for english in ["", "en", "en-US,en;q=0.9,zh;q=0.8", "de,fr", "zh;q=0", "en,zh", "zh;q=x", "zh;q=0.1,en;q=0.2"]
        {
            assert_eq!(preferred(english), Language::English, "{english}");
        }
        for chinese in ["zh", "ZH-hans-CN", "zh-TW", "zh-CN,zh;q=0.9,en;q=0.8", "de,zh;q=0.5", "en;q=0.1, zh; q=0.2"] {
            assert_eq!(preferred(chinese), Language::Chinese, "{chinese}");
        }
    }

    #[test]
    fn a_choice_goes_before_what_the_browser_prefers() {
        let of = |cookie: &str| {
            let pair = |name, value: &str| (name, value.parse().unwrap());
            Language::of(&HeaderMap::from_iter([pair(header::ACCEPT_LANGUAGE, "zh"), pair(header::COOKIE, cookie)]))
        };
        assert_eq!(of("a=b; payment-notifier-language=en"), Language::English);
        assert_eq!(of("payment-notifier-language=fr"), Language::Chinese);
        assert_eq!(of("xpayment-notifier-language=en"), Language::Chinese);
    }

    #[test]
    fn the_switch_keeps_the_rest_of_the_query() {
        let of = |uri: &'static str| switch(&Uri::from_static(uri), Language::Chinese);
        assert_eq!(of("/"), "/?language=zh-CN");
        assert_eq!(of("/dead-letters?reason=a&language=en&order=b"), "/dead-letters?reason=a&order=b&language=zh-CN");
    }
}

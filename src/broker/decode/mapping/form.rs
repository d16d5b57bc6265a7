//! `application/x-www-form-urlencoded` as a flat JSON object of texts, so that one way of reading serves both.

use percent_encoding::percent_decode_str;

use super::super::reject::Reject;

const FIELDS_MAX: usize = 256;

/// Whether a body looks like a form: `name=value`, and nothing that begins JSON.
pub(super) fn is_form(body: &str) -> bool {
    let begins_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '%' | '.' | '-' | '*');
    if !body.starts_with(begins_name) {
        return false;
    }
    let (name, _) = body.split_once('=').unwrap_or_default();
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '{' | '['))
}

/// The form as JSON. A name that stands twice stays twice, for whoever wants it.
///
/// # Errors
/// `malformed_field` for a broken escape, text that is not UTF-8, and more than [`FIELDS_MAX`] fields.
pub(super) fn to_json(body: &str) -> Result<String, Reject> {
    let mut json = String::with_capacity(body.len() + 64);
    json.push('{');
    let pairs = body.trim_end_matches(['\r', '\n']).split('&').filter(|pair| !pair.is_empty());
    for (index, pair) in pairs.enumerate() {
        if index == FIELDS_MAX {
            return Err(Reject::malformed("the form", format_args!("must have at most {FIELDS_MAX} fields")));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if index > 0 {
            json.push(',');
        }
        push(&mut json, name)?;
        json.push(':');
        push(&mut json, value)?;
    }
    json.push('}');
    Ok(json)
}

fn push(json: &mut String, encoded: &str) -> Result<(), Reject> {
    let broken = encoded.split('%').skip(1).any(|after| {
        let digits = after.as_bytes().get(..2).unwrap_or_default();
        digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit)
    });
    if broken {
        return Err(Reject::malformed("the form", "must have two hexadecimal digits after each %"));
    }
    let spaced = encoded.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(text) => {
            json.push_str(&serde_json::Value::from(text.as_ref()).to_string());
            Ok(())
        }
        Err(_not_utf8) => Err(Reject::malformed("the form", "must be UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_an_object_of_texts() {
        let json = to_json("a=1%2B1+%3D+2&b=%E8%AE%A2&c=&d&e=x=y&&f=%22").unwrap();
        assert_eq!(json, r#"{"a":"1+1 = 2","b":"订","c":"","d":"","e":"x=y","f":"\""}"#);
        assert_eq!(to_json("a=1&a=2\r\n").unwrap(), r#"{"a":"1","a":"2"}"#);
    }

    #[test]
    fn what_is_broken_or_endless_is_refused() {
        for bad in ["a=%", "a=%4", "a=%zz", "%=1", "a=%D6%D0"] {
            assert_eq!(to_json(bad).unwrap_err().code, "malformed_field", "{bad}");
        }
        let fields = |count: usize| vec!["a=1"; count].join("&");
        assert!(to_json(&fields(FIELDS_MAX)).is_ok() && to_json(&fields(FIELDS_MAX + 1)).is_err());
    }

    #[test]
    fn a_form_is_known_by_its_look() {
        assert!(["a=1", "payOrderId=P1&state=2", "%61=1"].iter().all(|body| is_form(body)));
        for body in ["", "=1", "a", "{\"a\":\"b=c\"}", "[1]", "\"a=b\"", "hello there = 1", "<a b=\"c\">"] {
            assert!(!is_form(body), "{body}");
        }
    }
}

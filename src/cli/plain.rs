//! Texts of others on a terminal.

/// Without control characters, which a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    without_controls(text, &[])
}

/// Without control characters but those in `but`.
pub(super) fn without_controls(text: &str, but: &[char]) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !but.contains(&character) {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

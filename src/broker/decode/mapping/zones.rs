//! Time zones whose offset is the same all year, as an offset. What has summer time cannot be read back from a local time:
//! one hour of the year is there twice.

/// Names of the IANA data base for zones that have had one offset since 2000.
const NAMES: [(&str, &str); 53] = [
    ("UTC", "Z"),
    ("GMT", "Z"),
    ("Etc/UTC", "Z"),
    ("Asia/Shanghai", "+08:00"),
    ("Asia/Urumqi", "+06:00"),
    ("Asia/Hong_Kong", "+08:00"),
    ("Asia/Macau", "+08:00"),
    ("Asia/Taipei", "+08:00"),
    ("Asia/Singapore", "+08:00"),
    ("Asia/Kuala_Lumpur", "+08:00"),
    ("Asia/Manila", "+08:00"),
    ("Asia/Tokyo", "+09:00"),
    ("Asia/Seoul", "+09:00"),
    ("Asia/Bangkok", "+07:00"),
    ("Asia/Jakarta", "+07:00"),
    ("Asia/Ho_Chi_Minh", "+07:00"),
    ("Asia/Yangon", "+06:30"),
    ("Asia/Kathmandu", "+05:45"),
    ("Asia/Kolkata", "+05:30"),
    ("Asia/Dubai", "+04:00"),
    ("Asia/Riyadh", "+03:00"),
    ("Africa/Nairobi", "+03:00"),
    ("Africa/Johannesburg", "+02:00"),
    ("Africa/Lagos", "+01:00"),
    ("PRC", "+08:00"),
    ("Etc/GMT", "Z"),
    ("Africa/Accra", "Z"),
    ("Africa/Abidjan", "Z"),
    ("Asia/Chongqing", "+08:00"),
    ("Asia/Brunei", "+08:00"),
    ("Asia/Makassar", "+08:00"),
    ("Hongkong", "+08:00"),
    ("Singapore", "+08:00"),
    ("Japan", "+09:00"),
    ("ROK", "+09:00"),
    ("Asia/Saigon", "+07:00"),
    ("Asia/Phnom_Penh", "+07:00"),
    ("Asia/Vientiane", "+07:00"),
    ("Asia/Rangoon", "+06:30"),
    ("Asia/Katmandu", "+05:45"),
    ("Asia/Calcutta", "+05:30"),
    ("Asia/Tashkent", "+05:00"),
    ("Asia/Kabul", "+04:30"),
    ("Asia/Muscat", "+04:00"),
    ("Asia/Kuwait", "+03:00"),
    ("Asia/Qatar", "+03:00"),
    ("Asia/Bahrain", "+03:00"),
    ("America/Puerto_Rico", "-04:00"),
    ("America/Bogota", "-05:00"),
    ("America/Lima", "-05:00"),
    ("America/Panama", "-05:00"),
    ("America/Phoenix", "-07:00"),
    ("Pacific/Honolulu", "-10:00"),
];
const HOURS_MAX: u8 = 23;
const MINUTES_MAX: u8 = 59;

/// `Z`, `+08:00`, `+0800`, `+08` or a name, as RFC 3339 writes offsets.
///
/// # Errors
/// A clause that goes after `time_zone`.
pub(super) fn offset(zone: &str) -> Result<Box<str>, String> {
    if let Some((_, offset)) = NAMES.iter().find(|(name, _)| *name == zone) {
        return Ok((*offset).into());
    }
    of_digits(zone).ok_or_else(|| {
        format!(
            "{zone:?} must be an offset such as +08:00, or the name of a zone without summer time such as Asia/Shanghai"
        )
    })
}

/// An offset in any of the forms of ISO 8601. Not set for other texts.
pub(super) fn of_digits(text: &str) -> Option<Box<str>> {
    if text == "Z" {
        return Some(text.into());
    }
    let sign = text.chars().next().filter(|sign| matches!(sign, '+' | '-'))?;
    let digits = match text.as_bytes() {
        [_, rest @ ..] if rest.len() == 5 && rest[2] == b':' => format!("{}{}", text.get(1..3)?, text.get(4..6)?),
        [_, rest @ ..] if rest.len() == 2 => format!("{}00", text.get(1..)?),
        _ => text.get(1..)?.to_owned(),
    };
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let within = |part: &str, max: u8| part.parse::<u8>().is_ok_and(|value| value <= max);
    (within(hours, HOURS_MAX) && within(minutes, MINUTES_MAX)).then(|| format!("{sign}{hours}:{minutes}").into())
}

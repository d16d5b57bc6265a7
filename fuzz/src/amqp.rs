//! Frames as a broker sends them. The first byte says after how many bytes each they are cut; the rest is what comes.

use std::sync::Arc;

use payment_notifier::broker::transport::frames::{Frames, TooLarge};
use payment_notifier::broker::transport::witness::Witness;

/// RabbitMQ's own default.
const FRAME_MAX: u32 = 131_072;

/// One connection.
pub fn check(input: &[u8]) {
    let Some((every, bytes)) = input.split_first() else { return };
    let whole = read(&[bytes]);
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(*every) + 1).collect();
    assert!(read(&pieces) == whole, "it depends on where the bytes are cut");
    if let Ok(mended) = whole {
        assert!(read(&[&mended]).is_ok_and(|again| again == mended), "what was mended is not whole");
    }
}

fn read(pieces: &[&[u8]]) -> Result<Vec<u8>, TooLarge> {
    let (mut frames, mut ready) = (Frames::new(FRAME_MAX, Arc::new(Witness::default())), Vec::new());
    for piece in pieces {
        frames.read(piece, &mut ready)?;
    }
    frames.end(&mut ready);
    Ok(ready)
}

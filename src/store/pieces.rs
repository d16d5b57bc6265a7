//! What fails together for what may be one item of it, done again in parts, so that the others go on.

use super::Error;
use super::ledger::Swept;

/// What is left of a batch, in its order. It is divided until the bad item is alone: at no more than twice as many attempts
/// as there are items, and with one bad item at about twice the logarithm of that.
#[derive(Debug)]
pub struct Pieces<T>(Vec<Vec<T>>);

impl<T> Pieces<T> {
    /// The whole batch is the first piece.
    #[must_use]
    pub fn of(batch: Vec<T>) -> Self {
        Self(vec![batch])
    }

    /// The next piece, not set where nothing is left.
    pub fn take_next(&mut self) -> Option<Vec<T>> {
        self.0.pop()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a piece that failed back as two, or answers the item that fails alone.
    pub fn divide(&mut self, mut piece: Vec<T>) -> Option<T> {
        if piece.len() < 2 {
            return piece.pop();
        }
        let rest = piece.split_off(piece.len() / 2);
        self.0.extend([rest, piece]);
        None
    }
}

/// Does `step` for at most so many rows, and where one row stands in the way, row by row: what fails alone is passed over.
/// `step` is given how many rows, and whether to pass over what it comes upon. `failed` is what is logged of such a row.
///
/// # Errors
/// Those of `step` that are of no single row.
pub(super) async fn sweep<F>(
    rows_max: usize,
    failed: &'static str,
    step: impl Fn(usize, bool) -> F,
) -> Result<Swept, Error>
where
    F: Future<Output = Result<Swept, Error>>,
{
    match step(rows_max, false).await {
        Err(error) if error.may_be_of_one_row() => {}
        swept => return swept,
    }
    let mut sum = Swept::default();
    for _ in 0..rows_max {
        let one = match step(1, false).await {
            Err(error) if error.may_be_of_one_row() => {
                tracing::error!(%error, "{failed}");
                step(1, true).await?
            }
            one => one?,
        };
        sum.rows += one.rows;
        sum.damaged += one.damaged;
        sum.done = one.done;
        if sum.done {
            break;
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bad_ones_are_found_in_few_attempts_and_the_others_keep_their_order() {
        for (bad, attempts_max) in [(vec![], 1), (vec![300], 19), (vec![0, 1, 511], 60), ((0..512).collect(), 1023)] {
            let mut pieces = Pieces::of((0..512).collect());
            let (mut attempts, mut good, mut alone) = (0, Vec::new(), Vec::new());
            while let Some(piece) = pieces.take_next() {
                attempts += 1;
                if piece.iter().any(|item| bad.contains(item)) {
                    alone.extend(pieces.divide(piece));
                } else {
                    good.extend(piece);
                }
            }
            assert!(attempts <= attempts_max, "{attempts} attempts for {bad:?}");
            assert_eq!(alone, bad);
            assert_eq!(good, (0..512).filter(|item| !bad.contains(item)).collect::<Vec<i32>>());
        }
        assert_eq!(Pieces::<u8>::of(Vec::new()).divide(Vec::new()), None);
    }
}

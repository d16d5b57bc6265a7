//! A batch that fails for what may be one item of it, divided until that item is alone: the others go on, at no more than
//! twice as many attempts as there are items, and with one bad item at about twice the logarithm of that.

/// What is left of a batch, in its order.
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

//! Which file needs which, and where they need each other in a circle. What a module passes on by `pub use` is looked for
//! where it is written, so a module that only lists what it holds is in no circle with what it holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::paths::{Names, Source};

/// How many times one name may be passed on.
const PASSED_ON_MAX: usize = 8;

/// Which file names which, with the line and the path of the first time.
pub(crate) type Edges = BTreeMap<Names, BTreeMap<Names, (usize, String)>>;

pub(crate) fn edges(sources: &BTreeMap<Names, Source>) -> Edges {
    let mut edges = Edges::new();
    for (from, source) in sources {
        let to = edges.entry(from.clone()).or_default();
        for path in &source.paths {
            if let Some(module) = written_in(sources, &path.names, PASSED_ON_MAX)
                && module != *from
            {
                to.entry(module).or_insert((path.line, path.names.join("::")));
            }
        }
    }
    edges
}

/// The module whose file holds what the path names. None for another crate's, and for a module that is only named to say
/// more later: the paths that go on from it are looked at themselves.
fn written_in(sources: &BTreeMap<Names, Source>, names: &[String], passed_on_max: usize) -> Option<Names> {
    let depth = (1..=names.len()).rev().find(|depth| sources.contains_key(&names[..*depth]))?;
    let (module, rest) = names.split_at(depth);
    let first = rest.first()?;
    let source = &sources[module];
    if passed_on_max == 0 {
        return None;
    }
    if let Some(passed_on) = source.passed_on.get(first) {
        let further = [passed_on, &rest[1..]].concat();
        return written_in(sources, &further, passed_on_max - 1).filter(|to| to != module);
    }
    Some(module.to_vec())
}

/// The groups of files that reach each other, by Tarjan's strongly connected components.
pub(crate) fn find(edges: &Edges) -> Vec<BTreeSet<Names>> {
    let mut search = Search::of(edges);
    for from in edges.keys() {
        if !search.order.contains_key(from) {
            search.visit(from);
        }
    }
    search.found
}

struct Search<'a> {
    edges: &'a Edges,
    order: BTreeMap<&'a Names, usize>,
    lowest: BTreeMap<&'a Names, usize>,
    open: Vec<&'a Names>,
    found: Vec<BTreeSet<Names>>,
}

impl<'a> Search<'a> {
    fn of(edges: &'a Edges) -> Self {
        Self { edges, order: BTreeMap::new(), lowest: BTreeMap::new(), open: Vec::new(), found: Vec::new() }
    }

    fn visit(&mut self, at: &'a Names) {
        let number = self.order.len();
        self.order.insert(at, number);
        self.lowest.insert(at, number);
        self.open.push(at);
        for to in self.edges.get(at).into_iter().flat_map(|to| to.keys()) {
            let reached = match self.order.get(to) {
                None => {
                    self.visit(to);
                    self.lowest.get(to).copied()
                }
                Some(number) => self.open.contains(&to).then_some(*number),
            };
            if let Some(reached) = reached {
                self.lowest.entry(at).and_modify(|lowest| *lowest = reached.min(*lowest));
            }
        }
        if self.lowest[at] == number {
            let start = self.open.iter().position(|open| *open == at).unwrap_or(0);
            let group: BTreeSet<_> = self.open.split_off(start).into_iter().cloned().collect();
            if group.len() > 1 {
                self.found.push(group);
            }
        }
    }
}

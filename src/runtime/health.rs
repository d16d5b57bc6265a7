//! What works and what does not, as its owners last reported.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Tasks;

/// The components that the service cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The connection to RabbitMQ and its topology.
    Broker,
    /// The subscription to the results queue.
    Consumer,
    /// The store of payments.
    Store,
    /// The process itself: not ready while it starts and while it drains.
    Node,
}

impl Component {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Broker, Self::Consumer, Self::Store, Self::Node];

    /// The name that operators read.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Consumer => "consumer",
            Self::Store => "store",
            Self::Node => "node",
        }
    }

    /// The component of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|component| component.as_str() == name)
    }
}

/// The health of all components. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Of each component, and of each thing in it that is looked at on its own.
    faults: BTreeMap<(Component, &'static str), String>,
    /// Tasks that were to run for ever.
    ended: Vec<&'static str>,
}

/// A component as a whole.
const WHOLE: &str = "";

impl Health {
    /// Nothing works yet.
    #[must_use]
    pub fn starting() -> Self {
        let faults = Component::ALL.into_iter().map(|component| ((component, WHOLE), "starting".to_owned())).collect();
        Self { state: Arc::new(Mutex::new(State { faults, ended: Vec::new() })) }
    }

    /// The component works.
    pub fn ok(&self, component: Component) {
        self.lock().faults.remove(&(component, WHOLE));
    }

    /// The component does not work, for this reason. The reason is shown to operators: no secrets.
    pub fn fault(&self, component: Component, reason: impl Into<String>) {
        self.lock().faults.insert((component, WHOLE), reason.into());
    }

    /// One thing in the component works. [`Health::ok`] does not mean that.
    pub fn ok_in(&self, component: Component, thing: &'static str) {
        self.lock().faults.remove(&(component, thing));
    }

    /// One thing in the component does not work, for this reason. It stands beside what [`Health::fault`] says of the component.
    pub fn fault_in(&self, component: Component, thing: &'static str, reason: impl Into<String>) {
        self.lock().faults.insert((component, thing), reason.into());
    }

    /// What does not work, and why. Empty when all does.
    #[must_use]
    pub fn faults(&self) -> BTreeMap<Component, String> {
        let mut faults = BTreeMap::new();
        for ((component, _), reason) in &self.lock().faults {
            let reasons: &mut String = faults.entry(*component).or_default();
            if !reasons.is_empty() {
                reasons.push_str("; ");
            }
            reasons.push_str(reason);
        }
        faults
    }

    /// Tasks that were to run for ever and do not run any more: nothing but a restart brings them back.
    #[must_use]
    pub fn ended(&self) -> Vec<&'static str> {
        self.lock().ended.clone()
    }

    /// Runs a task that the service cannot do without. Where it ends before `tasks` are told to stop, by a panic too,
    /// [`Health::ended`] names it and `component` does not work.
    pub fn keep(
        &self,
        name: &'static str,
        component: Component,
        tasks: &Tasks,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let watch = Watch { name, component, health: self.clone(), tasks: tasks.clone() };
        tasks.spawn(async move {
            // Moved in, so that it is dropped with the task whatever ends it.
            let _watch = watch;
            task.await;
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says when it is dropped that its task has ended.
struct Watch {
    name: &'static str,
    component: Component,
    health: Health,
    tasks: Tasks,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.tasks.is_stopping() {
            return;
        }
        tracing::error!(task = self.name, "a task that must not end has ended: restart this node");
        self.health.fault_in(self.component, self.name, format!("the task {} has ended: restart this node", self.name));
        self.health.lock().ended.push(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_in_a_component_works_only_when_that_is_reported_of_it() {
        let health = Health::starting();
        Component::ALL.into_iter().for_each(|component| health.ok(component));
        health.fault_in(Component::Broker, "binding", "not bound");
        health.fault(Component::Broker, "away");
        assert_eq!(health.faults().get(&Component::Broker).map(String::as_str), Some("away; not bound"));
        health.ok(Component::Broker);
        assert_eq!(health.faults().get(&Component::Broker).map(String::as_str), Some("not bound"));
        health.ok_in(Component::Broker, "binding");
        assert!(health.faults().is_empty());
    }

    #[tokio::test]
    async fn a_task_that_panics_or_returns_is_named_and_one_that_was_told_to_stop_is_not() {
        let (health, tasks) = (Health::starting(), Tasks::new());
        Component::ALL.into_iter().for_each(|component| health.ok(component));
        let stopping = tasks.until_stopping();
        health.keep("pages", Component::Node, &tasks, stopping);
        assert!(health.ended().is_empty() && health.faults().is_empty());
        health.keep("consumer", Component::Consumer, &tasks, async { panic!("a test's own panic") });
        while health.ended().is_empty() {
            tokio::task::yield_now().await;
        }
        health.keep("operators", Component::Node, &tasks, async {});
        while health.ended().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(health.ended(), ["consumer", "operators"]);
        assert_eq!(health.faults().into_keys().collect::<Vec<_>>(), [Component::Consumer, Component::Node]);
        tasks.stop();
        tasks.join(std::time::Duration::from_secs(10)).await.unwrap();
        assert_eq!(health.ended().len(), 2);
    }
}

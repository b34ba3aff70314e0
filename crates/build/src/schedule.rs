//! Runs the nodes of a graph, each behind its inputs and as many at once as allowed.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Scope};

/// What the nodes that are done have made, by number.
pub(crate) struct Results<T>(Vec<OnceLock<T>>);

impl<T> Results<T> {
    /// Returns what node `node` made. Only a node's inputs may be asked for: those are done.
    pub(crate) fn of(&self, node: usize) -> &T {
        self.0[node].get().expect("inputs are done before their user starts")
    }
}

/// Makes what a node makes, from what its inputs have made.
pub(crate) type Work<'a, T, E> = dyn Fn(usize, &Results<T>) -> Result<T, E> + Sync + 'a;

struct State<E> {
    /// How many inputs each node still waits for.
    waiting: Vec<usize>,
    /// Nodes that can start, the next one last.
    ready: Vec<usize>,
    /// Threads, and how many of them wait for a node.
    threads: usize,
    idle: usize,
    unfinished: usize,
    failure: Option<E>,
}

/// All that the threads share.
struct Schedule<'a, T, E> {
    results: Results<T>,
    /// Which nodes need each node.
    users: Vec<Vec<usize>>,
    jobs: usize,
    work: &'a Work<'a, T, E>,
    on_failure: &'a (dyn Fn() + Sync),
    state: Mutex<State<E>>,
    changed: Condvar,
}

/// Calls `work` for every node of a graph in which node `i` needs `inputs[i]`, on at most `jobs` threads. A thread is
/// started when a node could start and all others are busy: a chain takes one.
///
/// After the first error no further node starts; that error is returned once the running ones have ended. `on_failure`
/// is called as soon as it is known, so that the running ones can be stopped.
pub(crate) fn run<T: Send + Sync, E: Send>(
    inputs: &[Vec<usize>],
    jobs: usize,
    work: &Work<'_, T, E>,
    on_failure: &(dyn Fn() + Sync),
) -> Result<Vec<T>, E> {
    let mut users = vec![Vec::new(); inputs.len()];
    let mut waiting = vec![0; inputs.len()];
    for (node, needed) in inputs.iter().enumerate() {
        let mut needed = needed.clone();
        needed.sort_unstable();
        needed.dedup();
        waiting[node] = needed.len();
        for input in needed {
            users[input].push(node);
        }
    }
    let ready = (0..inputs.len()).rev().filter(|node| waiting[*node] == 0).collect();
    let state = State { waiting, ready, threads: 1, idle: 0, unfinished: inputs.len(), failure: None };
    let schedule = Schedule {
        results: Results(inputs.iter().map(|_| OnceLock::new()).collect()),
        users,
        jobs,
        work,
        on_failure,
        state: Mutex::new(state),
        changed: Condvar::new(),
    };
    thread::scope(|scope| schedule.serve(scope));
    let state = schedule.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failure {
        Some(error) => Err(error),
        None => Ok(schedule.results.0.into_iter().filter_map(OnceLock::into_inner).collect()),
    }
}

impl<T: Send + Sync, E: Send> Schedule<'_, T, E> {
    /// What each thread does: nodes, until all are done or one has failed.
    fn serve<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        while let Some(node) = self.next(scope) {
            let result = (self.work)(node, &self.results);
            self.end(node, result);
        }
    }

    /// Waits for a node that can start, and has another thread started if there are more than others wait for.
    fn next<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.failure.is_some() || state.unfinished == 0 {
                return None;
            }
            if let Some(node) = state.ready.pop() {
                if state.ready.len() > state.idle && state.threads < self.jobs {
                    state.threads += 1;
                    scope.spawn(|| self.serve(scope));
                }
                return Some(node);
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn end(&self, node: usize, result: Result<T, E>) {
        let mut state = self.lock();
        match result {
            Ok(value) => {
                let _ = self.results.0[node].set(value);
                state.unfinished -= 1;
                for user in &self.users[node] {
                    state.waiting[*user] -= 1;
                    if state.waiting[*user] == 0 {
                        state.ready.push(*user);
                    }
                }
            }
            Err(error) => {
                if state.failure.is_none() {
                    state.failure = Some(error);
                    (self.on_failure)();
                }
            }
        }
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn inputs_come_first_and_each_node_runs_once() {
        let inputs = vec![vec![], vec![0], vec![0], vec![1, 2, 1], vec![]];
        let sums = run::<usize, ()>(
            &inputs,
            3,
            &|node, results| Ok(1 + inputs[node].iter().map(|input| results.of(*input)).sum::<usize>()),
            &|| (),
        );
        assert_eq!(sums, Ok(vec![1, 2, 2, 7, 1]));
    }

    #[test]
    fn independent_nodes_run_at_once() {
        let meet = Barrier::new(3);
        let met = run::<(), ()>(
            &[vec![], vec![], vec![]],
            3,
            &|_, _| {
                meet.wait();
                Ok(())
            },
            &|| (),
        );
        assert_eq!(met, Ok(vec![(), (), ()]));
    }

    #[test]
    fn after_an_error_nothing_starts() {
        let started = AtomicUsize::new(0);
        let failed = AtomicUsize::new(0);
        let result = run::<(), usize>(
            &[vec![], vec![0], vec![1]],
            2,
            &|node, _| {
                started.fetch_add(1, Ordering::Relaxed);
                if node == 1 { Err(node) } else { Ok(()) }
            },
            &|| {
                failed.fetch_add(1, Ordering::Relaxed);
            },
        );
        assert_eq!((result, started.into_inner(), failed.into_inner()), (Err(1), 2, 1));
    }
}

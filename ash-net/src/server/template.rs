//! What can be started from elsewhere: factories that the server knows by name.

use std::marker::PhantomData;

use ash_core::{ChildId, ChildSpec, RestartPolicy, Worker};
use serde::de::DeserializeOwned;

/// Makes children out of arguments that have come over the wire.
pub(super) trait Template: Send + Sync {
    /// Returns the spec of a child, or what is wrong with the arguments.
    fn child(&self, id: ChildId, args: &str, policy: RestartPolicy) -> Result<ChildSpec, String>;
}

/// A factory with arguments that are JSON on the wire.
pub(super) struct JsonTemplate<A, F> {
    factory: std::sync::Arc<F>,
    args: PhantomData<fn(A)>,
}

impl<A, F> JsonTemplate<A, F> {
    pub(super) fn new(factory: F) -> Self {
        Self { factory: std::sync::Arc::new(factory), args: PhantomData }
    }
}

impl<A, W, F> Template for JsonTemplate<A, F>
where
    A: DeserializeOwned + 'static,
    W: Worker,
    F: Fn(A) -> W + Send + Sync + 'static,
{
    fn child(&self, id: ChildId, args: &str, policy: RestartPolicy) -> Result<ChildSpec, String> {
        // Decoded once now, so that the caller learns what is wrong with them.
        drop(serde_json::from_str::<A>(args).map_err(|error| error.to_string())?);
        let factory = std::sync::Arc::clone(&self.factory);
        let args: Box<str> = args.into();
        let worker = ChildSpec::worker(id, move || {
            factory(serde_json::from_str(&args).expect("the arguments could be decoded before"))
        });
        Ok(worker.restart(policy))
    }
}

//! Turns: a supervisor is worked on by whoever brings it something, and code of users' may run in
//! the midst of that.

mod blocking;
mod ends;
mod lives;
mod midst;
mod wakers;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};

use tokio::runtime::{Builder, Runtime};
use tokio::task::coop::unconstrained;

use crate::support::seconds;

/// Polls its future wherever it is woken, in the thread and in the midst of whoever wakes it.
struct Inline {
    future: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    is_woken: AtomicBool,
    is_done: AtomicBool,
}

impl Inline {
    fn run(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let future = Mutex::new(Box::pin(unconstrained(future)) as Pin<Box<_>>);
        let (is_woken, is_done) = (AtomicBool::new(false), AtomicBool::new(false));
        let this = Arc::new(Self { future, is_woken, is_done });
        Arc::clone(&this).wake();
        this
    }

    fn is_done(&self) -> bool {
        self.is_done.load(Ordering::SeqCst)
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self));
        // Whoever is at it polls again.
        while !self.is_done()
            && self.is_woken.load(Ordering::SeqCst)
            && let Ok(mut future) = self.future.try_lock()
        {
            self.is_woken.store(false, Ordering::SeqCst);
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                self.is_done.store(true, Ordering::SeqCst);
            }
        }
    }
}

/// Fails if this does not come to its end.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        test();
        tell.send(()).unwrap();
    });
    let ended = told.recv_timeout(seconds(20));
    assert!(!matches!(ended, Err(mpsc::RecvTimeoutError::Timeout)), "it hangs");
    thread.join().unwrap();
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn threads(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_all().build().unwrap()
}

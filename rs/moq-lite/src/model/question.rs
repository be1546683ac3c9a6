//! Questions: what was asked for and is not there, with one answer for all who wait for it.
//!
//! Whoever asks what is asked already joins the question. The one who answers takes questions in the order they were asked.
//! A question that nobody waits for any more, and that was not taken, is withdrawn. How many may be open is the matter of
//! whoever keeps them.

use std::{
    borrow::Borrow,
    collections::{HashMap, VecDeque},
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use moq_proto::CloseCode;

use super::watch::{Waiter, Watch};

/// What was asked for, or why it cannot be had.
pub(crate) type Answer<A> = Result<A, CloseCode>;

/// What is kept behind the lock of `Self` with the questions about it.
pub(crate) trait Asked {
    type Key: Clone + Eq + Hash;
    type Answer: Clone;

    fn questions(&mut self) -> &mut Questions<Self::Key, Self::Answer>;
}

/// One question.
pub(crate) struct Question<K, A> {
    key: K,
    answer: Arc<Watch<Option<Answer<A>>>>,
    /// How many wait for the answer. Changed under the lock of its home.
    waiting: AtomicUsize,
    priority: AtomicU8,
}

impl<K, A> Question<K, A> {
    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// The highest that somebody asked it with; 0 where nobody names one.
    pub(crate) fn priority(&self) -> u8 {
        self.priority.load(Ordering::Relaxed)
    }

    /// Somebody asks it with this priority.
    pub(crate) fn raise(&self, priority: u8) {
        self.priority.fetch_max(priority, Ordering::Relaxed);
    }

    /// Answers all who wait. The first answer stands.
    pub(crate) fn answer(&self, answer: Answer<A>) {
        self.answer.lock().get_or_insert(answer);
    }

    /// Waits until nobody waits for the answer.
    pub(crate) async fn unwanted(&self) {
        let is_unwanted = || self.waiting.load(Ordering::Acquire) == 0;
        let mut waiter = Waiter::new(self.answer.clone());
        waiter.wait(|_| if is_unwanted() { Poll::Ready(()) } else { Poll::Pending }).await
    }
}

/// Everything asked and not answered.
pub(crate) struct Questions<K, A> {
    open: HashMap<K, Arc<Question<K, A>>>,
    /// Those not taken yet, in the order of asking.
    queue: VecDeque<Arc<Question<K, A>>>,
}

impl<K, A> Default for Questions<K, A> {
    fn default() -> Self {
        Self { open: HashMap::new(), queue: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, A> Questions<K, A> {
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn get<Q: ?Sized + Eq + Hash>(&self, key: &Q) -> Option<Arc<Question<K, A>>>
    where
        K: Borrow<Q>,
    {
        self.open.get(key).cloned()
    }

    /// Opens a question about `key`, about which there is none.
    pub(crate) fn ask(&mut self, key: K) -> Arc<Question<K, A>> {
        let (answer, waiting) = (Arc::new(Watch::new(None)), AtomicUsize::new(0));
        let question = Arc::new(Question { key: key.clone(), answer, waiting, priority: AtomicU8::new(0) });
        self.open.insert(key, question.clone());
        self.queue.push_back(question.clone());
        question
    }

    /// Whether there is a question that was not taken.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes the next question. It stays open.
    pub(crate) fn take(&mut self) -> Option<Arc<Question<K, A>>> {
        self.queue.pop_front()
    }

    /// Gives back a question that was taken, to be the next that is. What nobody waits for is withdrawn instead.
    pub(crate) fn put_back(&mut self, question: Arc<Question<K, A>>) {
        if question.waiting.load(Ordering::Acquire) == 0 {
            self.close_this(&question);
        } else if self.open.get(&question.key).is_some_and(|open| Arc::ptr_eq(open, &question)) {
            self.queue.push_front(question);
        }
    }

    /// Closes the question about `key`, to be answered.
    pub(crate) fn close<Q: ?Sized + Eq + Hash>(&mut self, key: &Q) -> Option<Arc<Question<K, A>>>
    where
        K: Borrow<Q>,
    {
        let question = self.open.remove(key)?;
        self.queue.retain(|queued| !Arc::ptr_eq(queued, &question));
        Some(question)
    }

    /// Closes `question`; `false` when it is closed, and perhaps asked anew, already.
    pub(crate) fn close_this(&mut self, question: &Arc<Question<K, A>>) -> bool {
        let is_open = self.open.get(&question.key).is_some_and(|open| Arc::ptr_eq(open, question));
        is_open && self.close(&question.key).is_some()
    }

    /// Closes all of them.
    pub(crate) fn close_all(&mut self) -> Vec<Arc<Question<K, A>>> {
        self.queue.clear();
        self.open.drain().map(|(_, question)| question).collect()
    }
}

/// One who waits for an answer.
pub(crate) struct Waiting<S: Asked> {
    home: Arc<Watch<S>>,
    question: Arc<Question<S::Key, S::Answer>>,
    waiter: Waiter<Option<Answer<S::Answer>>>,
}

impl<S: Asked> Waiting<S> {
    /// Joins `question`, which is open in `home`. To be called under the lock of `home`.
    pub(crate) fn new(home: Arc<Watch<S>>, question: Arc<Question<S::Key, S::Answer>>) -> Self {
        question.waiting.fetch_add(1, Ordering::AcqRel);
        let waiter = Waiter::new(question.answer.clone());
        Self { home, question, waiter }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer<S::Answer>> {
        self.waiter.poll(cx, |answer| (**answer).clone().map_or(Poll::Pending, Poll::Ready))
    }
}

impl<S: Asked> Drop for Waiting<S> {
    fn drop(&mut self) {
        let mut home = self.home.lock();
        if self.question.waiting.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let questions = home.questions();
        if questions.queue.iter().any(|queued| Arc::ptr_eq(queued, &self.question)) {
            questions.close_this(&self.question);
        }
        drop(home);
        self.question.answer.notify();
    }
}

impl<S: Asked> fmt::Debug for Waiting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, future::poll_fn};

    use super::*;

    impl Asked for Questions<u64, &'static str> {
        type Key = u64;
        type Answer = &'static str;

        fn questions(&mut self) -> &mut Self {
            self
        }
    }

    type Home = Arc<Watch<Questions<u64, &'static str>>>;

    fn ask(home: &Home, key: u64) -> Waiting<Questions<u64, &'static str>> {
        let mut questions = home.lock();
        let question = questions.get(&key).unwrap_or_else(|| questions.ask(key));
        Waiting::new(home.clone(), question)
    }

    fn home() -> Home {
        Arc::new(Watch::new(Questions::default()))
    }

    #[tokio::test]
    async fn one_answer_is_for_all_who_wait() {
        let home = home();
        let mut waiting = [ask(&home, 1), ask(&home, 1)];
        let question = home.lock().take().unwrap();
        assert!(home.lock().take().is_none(), "it is one question");
        assert!(poll_fn(|cx| waiting[0].poll(cx)).now_or_never().is_none());

        assert!(home.lock().close_this(&question));
        question.answer(Ok("here"));
        question.answer(Ok("too late"));
        for waiting in &mut waiting {
            assert_eq!(poll_fn(|cx| waiting.poll(cx)).await, Ok("here"));
        }
    }

    #[test]
    fn questions_are_taken_in_order_and_withdrawn_when_nobody_waits() {
        let home = home();
        let (first, joined, second, third) = (ask(&home, 1), ask(&home, 1), ask(&home, 2), ask(&home, 3));
        drop(first);
        drop(second);
        let taken = home.lock().take().unwrap();
        assert_eq!(*taken.key(), 1, "somebody still waits for it");
        assert_eq!(*home.lock().take().unwrap().key(), 3);
        assert_eq!(home.lock().len(), 2);

        assert!(taken.unwanted().now_or_never().is_none());
        drop(joined);
        assert!(taken.unwanted().now_or_never().is_some());
        assert_eq!(home.lock().len(), 2, "a question that was taken stays open until it is answered");
        drop(third);
    }

    #[test]
    fn a_late_answer_does_not_close_the_question_asked_anew() {
        let home = home();
        let _first = ask(&home, 1);
        let old = home.lock().take().unwrap();
        assert!(home.lock().close(&1).is_some());
        let _second = ask(&home, 1);
        assert!(!home.lock().close_this(&old));
        assert_eq!(home.lock().len(), 1);
    }
}

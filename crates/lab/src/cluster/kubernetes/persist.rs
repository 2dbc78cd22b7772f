//! Asking again where a connection broke.
//!
//! The client asks again where the server says that it has no time. It does not where a connection
//! breaks, such as a kept one that the server, or a proxy before it, closes as idle under a request,
//! and it waits for ever where one is silent.
//! Everything that is asked here may be asked twice: it reads, applies, or deletes by name or UID.

use std::{future::Future, time::Duration};

use tokio::time::sleep;

/// An answer that takes longer does not come: nothing that is asked here takes its time.
const LIMIT: Duration = Duration::from_secs(5);

/// The waits before it is asked again.
const WAITS: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(300), Duration::from_millis(1_500)];

/// The answer to what is asked, which has to be the same when it is asked twice.
pub(crate) async fn persist<T, F>(mut ask: impl FnMut() -> F) -> kube::Result<T>
where
    F: Future<Output = kube::Result<T>>,
{
    for wait in WAITS {
        match in_time(ask()).await {
            Err(error) if is_broken(&error) => sleep(wait).await,
            answered => return answered,
        }
    }
    in_time(ask()).await
}

async fn in_time<T>(asked: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| kube::Error::Service(format!("no answer within {LIMIT:?}").into());
    tokio::time::timeout(LIMIT, asked).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// Whether nobody knows what became of it.
fn is_broken(error: &kube::Error) -> bool {
    matches!(
        error,
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_)
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn broken() -> kube::Error {
        kube::Error::Service("connection closed before message completed".into())
    }

    fn refused() -> kube::Error {
        kube::Error::Api(kube::core::Status::failure("no", "Forbidden").with_code(403).boxed())
    }

    /// How often it was asked that answers like this in turn, and whether it was answered at last.
    async fn asked(answers: &[fn() -> kube::Result<()>]) -> (usize, bool) {
        let asked = Cell::new(0);
        let answer = persist(|| {
            let n = asked.replace(asked.get() + 1);
            let answer = answers[n.min(answers.len() - 1)]();
            async move { answer }
        });
        let answered = answer.await.is_ok();
        (asked.get(), answered)
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_broke_is_asked_again_and_not_for_ever() {
        assert_eq!(asked(&[|| Ok(())]).await, (1, true));
        assert_eq!(asked(&[|| Err(refused())]).await, (1, false));
        assert_eq!(asked(&[|| Err(broken()), || Err(broken()), || Ok(())]).await, (3, true));
        assert_eq!(asked(&[|| Err(broken())]).await, (4, false));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_is_asked_again() {
        let asked = Cell::new(0);
        let answer = persist(|| {
            let silent = asked.replace(asked.get() + 1) == 0;
            async move {
                if silent {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        });
        assert!(answer.await.is_ok());
        assert_eq!(asked.get(), 2);
    }
}

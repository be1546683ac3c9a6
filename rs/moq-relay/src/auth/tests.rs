use super::{
    testing::{at, claims, key, request, verifier},
    *,
};

fn auth(publish: &[&str], subscribe: &[&str], verifier: Verifier) -> Auth {
    let paths = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Auth::new(Public::new(paths(publish), paths(subscribe)), verifier)
}

async fn ask(auth: &Auth, target: &str, wish: Wish) -> Result<Grant, Refused> {
    let request = Request { wish, ..request(target) };
    auth.judge(&request, at(0)).await.map(|admission| admission.grant)
}

#[tokio::test]
async fn what_is_public_needs_no_token() {
    let auth = auth(&["demo"], &[""], Verifier::default());

    let demo = ask(&auth, "/demo/room", Wish::Either).await.unwrap();
    assert_eq!((demo.root.as_str(), demo.publish.len(), demo.subscribe.len()), ("demo/room", 1, 1));
    let elsewhere = ask(&auth, "/news", Wish::Either).await.unwrap();
    assert_eq!((elsewhere.publish.len(), elsewhere.subscribe.len()), (0, 1));
}

#[tokio::test]
async fn what_is_not_public_is_refused() {
    let auth = auth(&["demo", "in"], &["demo"], Verifier::default());

    assert_eq!(ask(&auth, "/news", Wish::Either).await, Err(Refused::NoToken));
    assert_eq!(ask(&auth, "/demos", Wish::Either).await, Err(Refused::NoToken));
    assert_eq!(ask(&auth, "/in", Wish::Subscribe).await, Err(Refused::NoToken));
}

#[tokio::test]
async fn a_token_is_judged_alone_even_where_all_is_public() {
    let key = key("k");
    let auth = auth(&[""], &[""], verifier(&[&key]));
    let good = key.sign(&claims()).unwrap();

    let grant = ask(&auth, &format!("/demo?jwt={good}"), Wish::Either).await.unwrap();
    assert_eq!((grant.publish.len(), grant.subscribe.len()), (0, 1));
    assert_eq!(ask(&auth, &format!("/news?jwt={good}"), Wish::Either).await, Err(Refused::Elsewhere));
    assert!(matches!(ask(&auth, "/demo?jwt=abc", Wish::Either).await, Err(Refused::Token(_))));
    assert!(ask(&auth, "/demo?jwt=", Wish::Either).await.is_ok());
}

#[tokio::test]
async fn who_may_only_publish_is_no_reader() {
    let key = key("k");
    let auth = auth(&[], &[], verifier(&[&key]));
    let writer = moq_token::Claims { publish: vec![Default::default()], subscribe: vec![], ..claims() };
    let target = format!("/demo?jwt={}", key.sign(&writer).unwrap());

    assert!(ask(&auth, &target, Wish::Either).await.is_ok());
    assert_eq!(ask(&auth, &target, Wish::Subscribe).await, Err(Refused::Elsewhere));
}

#[tokio::test]
async fn each_refusal_and_each_end_is_counted_once() {
    let key = key("k");
    let auth = auth(&[], &[], verifier(&[&key]));
    let token = key.sign(&moq_token::Claims { expires: Some(at(60)), ..claims() }).unwrap();
    let _admission = auth.judge(&request(&format!("/demo?jwt={token}")), at(0)).await.unwrap();

    for target in ["/demo", "/demo?jwt=abc", "/..", "/demo"] {
        assert!(auth.authorize(&request(target)).await.is_err());
    }
    auth.expire(at(60));
    auth.expire(at(61));

    let counted: Vec<_> = auth.counts().filter(|(.., count)| *count > 0).collect();
    let refused = "moq_relay_refused_total";
    let expected = [
        (refused, "path", 1),
        (refused, "no-token", 2),
        (refused, "malformed", 1),
        ("moq_relay_rights_ended_total", "expired", 1),
    ];
    assert_eq!(counted, expected);
}

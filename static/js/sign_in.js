// Of somebody who was signed out meanwhile.

/** To the sign-in, and from there back to this page: not to what a script had asked for. */
export function signInAgain() {
  const login = new URL(document.body.dataset.loginUrl, location.href);
  login.searchParams.set("next", location.pathname + location.search);
  location.assign(login);
}

// The API's documentation. A browser that is signed in may try everything out: its requests bear
// the CSRF token, unless a token of one's own was entered under "Authorize".
const place = document.querySelector("#api");

window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  displayOperationId: true,
  filter: true,
  validatorUrl: null, // it would send the schema's address to another site
  presets: [window.SwaggerUIBundle.presets.apis],
  requestInterceptor(request) {
    const own = new URL(request.url, location.href).origin === location.origin;
    if (own && !request.headers.Authorization) request.headers["X-CSRFToken"] = place.dataset.csrf;
    return request;
  },
});

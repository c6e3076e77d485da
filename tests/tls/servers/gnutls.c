// What GnuTLS reads of ClientHellos: see openssl.c.
#include <errno.h>
#include <gnutls/gnutls.h>

#include "lines.h"

static const unsigned char *input;
static size_t left;

static ssize_t pull(gnutls_transport_ptr_t to, void *buffer, size_t size) {
    if (left == 0) {
        gnutls_transport_set_errno((gnutls_session_t)to, EAGAIN);
        return -1;
    }
    if (size > left) size = left;
    memcpy(buffer, input, size);
    input += size, left -= size;
    return (ssize_t)size;
}

static int pull_timeout(gnutls_transport_ptr_t to, unsigned ms) {
    (void)to, (void)ms;
    return left > 0;
}

static ssize_t push(gnutls_transport_ptr_t to, const void *buffer, size_t size) {
    (void)to, (void)buffer;
    return (ssize_t)size;
}

static int on_hello(gnutls_session_t session) {
    unsigned char name[512];
    size_t length = sizeof name;
    unsigned type;
    is_hello = 1;
    if (gnutls_server_name_get(session, name, &length, &type, 0) == 0) set_name(name, length);
    return 0;
}

static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t priorities;

static void serve(const unsigned char *bytes, size_t length) {
    gnutls_session_t session;
    gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    gnutls_priority_set(session, priorities);
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    gnutls_handshake_set_post_client_hello_function(session, on_hello);
    gnutls_transport_set_ptr(session, session);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_pull_timeout_function(session, pull_timeout);
    gnutls_transport_set_push_function(session, push);
    input = bytes, left = length;
    // Each warning makes it return once.
    for (int i = 0; i < 20; i++) {
        int result = gnutls_handshake(session);
        if (result == 0 || gnutls_error_is_fatal(result) || (result == GNUTLS_E_AGAIN && left == 0)) break;
    }
    gnutls_deinit(session);
}

int main(void) {
    gnutls_certificate_allocate_credentials(&credentials);
    gnutls_priority_init(&priorities, "NORMAL:+VERS-ALL:+ARCFOUR-128:+3DES-CBC:%COMPAT", NULL);
    return each_line(serve);
}

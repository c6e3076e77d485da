// What OpenSSL reads of ClientHellos, and BoringSSL when compiled with its headers. Hexadecimal lines in; out, for each,
// `name HEX`, `nameless`, or `none` where it reads no ClientHello. An argument is the highest version, such as 0x303.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "lines.h"

// Called with a server name or without one, once a version has been agreed on.
static int on_name(SSL *ssl, int *alert, void *argument) {
    (void)alert, (void)argument;
    is_hello = 1;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name != NULL) set_name((const unsigned char *)name, strlen(name));
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context;

static void serve(const unsigned char *bytes, size_t length) {
    SSL *ssl = SSL_new(context);
    BIO *in = BIO_new_mem_buf(bytes, (int)length), *out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, out);
    SSL_accept(ssl);
    ERR_clear_error();
    SSL_free(ssl);
}

int main(int count, char **arguments) {
    context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    if (count > 1) SSL_CTX_set_max_proto_version(context, (unsigned short)strtol(arguments[1], NULL, 0));
    SSL_CTX_set_cipher_list(context, "ALL");
#ifndef OPENSSL_IS_BORINGSSL
    SSL_CTX_set_security_level(context, 0);
#endif
    SSL_CTX_set_tlsext_servername_callback(context, on_name);
    return each_line(serve);
}

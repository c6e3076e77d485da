// What NSS reads of ClientHellos: see openssl.c. The argument is the folder of a database that holds a certificate `s`.
#include <cert.h>
#include <nss.h>
#include <pk11pub.h>
#include <prerror.h>
#include <prio.h>
#include <ssl.h>
#include <sslproto.h>

#include "lines.h"

static const unsigned char *input;
static size_t left;
static CERTCertificate *certificate;
static SECKEYPrivateKey *key;

static PRInt32 layer_recv(PRFileDesc *fd, void *buffer, PRInt32 size, PRIntn flags, PRIntervalTime timeout) {
    (void)fd, (void)flags, (void)timeout;
    if (left == 0) {
        PR_SetError(PR_WOULD_BLOCK_ERROR, 0);
        return -1;
    }
    if ((size_t)size > left) size = (PRInt32)left;
    memcpy(buffer, input, (size_t)size);
    input += size, left -= (size_t)size;
    return size;
}

static PRInt32 layer_send(PRFileDesc *fd, const void *buffer, PRInt32 size, PRIntn flags, PRIntervalTime timeout) {
    (void)fd, (void)buffer, (void)flags, (void)timeout;
    return size;
}

static PRStatus layer_name(PRFileDesc *fd, PRNetAddr *address) {
    (void)fd;
    memset(address, 0, sizeof *address);
    address->inet.family = PR_AF_INET;
    return PR_SUCCESS;
}

static PRStatus layer_option(PRFileDesc *fd, PRSocketOptionData *data) {
    (void)fd;
    data->value.non_blocking = PR_TRUE;
    return PR_SUCCESS;
}

static PRStatus layer_close(PRFileDesc *fd) {
    fd->dtor(fd);
    return PR_SUCCESS;
}

static PRInt32 on_name(PRFileDesc *fd, const SECItem *names, PRUint32 count, void *argument) {
    (void)fd, (void)argument;
    is_hello = 1;
    if (count > 0) set_name(names[0].data, names[0].len);
    return SSL_SNI_CURRENT_CONFIG_IS_USED;
}

static PRIOMethods methods;
static PRDescIdentity identity;

static void serve(const unsigned char *bytes, size_t length) {
    PRFileDesc *fd = SSL_ImportFD(NULL, PR_CreateIOLayerStub(identity, &methods));
    SSLVersionRange range = {SSL_LIBRARY_VERSION_TLS_1_0, SSL_LIBRARY_VERSION_TLS_1_3};
    SSL_OptionSet(fd, SSL_SECURITY, PR_TRUE);
    SSL_OptionSet(fd, SSL_HANDSHAKE_AS_SERVER, PR_TRUE);
    SSL_OptionSet(fd, SSL_ENABLE_V2_COMPATIBLE_HELLO, PR_TRUE);
    SSL_VersionRangeSet(fd, &range);
    SSL_ConfigServerCert(fd, certificate, key, NULL, 0);
    SSL_SNISocketConfigHook(fd, on_name, NULL);
    SSL_ResetHandshake(fd, PR_TRUE);
    input = bytes, left = length;
    SSL_ForceHandshake(fd);
    // It has chosen a cipher suite: it has read a ClientHello.
    SSLPreliminaryChannelInfo info;
    int is_known = SSL_GetPreliminaryChannelInfo(fd, &info, sizeof info) == SECSuccess;
    if (is_known && (info.valuesSet & ssl_preinfo_cipher_suite)) is_hello = 1;
    PR_Close(fd);
}

int main(int count, char **arguments) {
    if (count < 2 || NSS_Init(arguments[1]) != SECSuccess) return 1;
    certificate = PK11_FindCertFromNickname("s", NULL);
    key = certificate ? PK11_FindKeyByAnyCert(certificate, NULL) : NULL;
    if (key == NULL) return 1;
    SSL_ConfigServerSessionIDCache(0, 0, 0, NULL);
    identity = PR_GetUniqueIdentity("memory");
    methods = *PR_GetDefaultIOMethods();
    methods.recv = layer_recv, methods.send = layer_send, methods.close = layer_close;
    methods.getpeername = methods.getsockname = layer_name;
    methods.getsocketoption = layer_option;
    return each_line(serve);
}

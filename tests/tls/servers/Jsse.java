// What Java reads of ClientHellos: see openssl.c.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.HexFormat;
import java.util.List;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SNIMatcher;
import javax.net.ssl.SNIServerName;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.StandardConstants;
import javax.net.ssl.X509ExtendedKeyManager;

public class Jsse {
    static boolean isHello;
    static String name;

    /** Is asked for a certificate once a ClientHello has been read, and has none. */
    static class NoKeys extends X509ExtendedKeyManager {
        public String chooseEngineServerAlias(String type, Principal[] issuers, SSLEngine engine) {
            isHello = true;
            return null;
        }
        public String chooseServerAlias(String type, Principal[] issuers, Socket socket) { return null; }
        public String[] getClientAliases(String type, Principal[] issuers) { return null; }
        public String chooseClientAlias(String[] types, Principal[] issuers, Socket socket) { return null; }
        public String[] getServerAliases(String type, Principal[] issuers) { return null; }
        public X509Certificate[] getCertificateChain(String alias) { return null; }
        public PrivateKey getPrivateKey(String alias) { return null; }
    }

    static class Reading extends SNIMatcher {
        Reading() { super(StandardConstants.SNI_HOST_NAME); }
        public boolean matches(SNIServerName server) {
            isHello = true;
            if (name == null) {
                name = HexFormat.of().formatHex(server.getEncoded());
            }
            return true;
        }
    }

    static void serve(SSLContext context, byte[] bytes) {
        SSLEngine engine = context.createSSLEngine();
        engine.setUseClientMode(false);
        engine.setEnabledProtocols(engine.getSupportedProtocols());
        engine.setEnabledCipherSuites(engine.getSupportedCipherSuites());
        SSLParameters parameters = engine.getSSLParameters();
        parameters.setSNIMatchers(List.of(new Reading()));
        engine.setSSLParameters(parameters);
        ByteBuffer in = ByteBuffer.wrap(bytes);
        ByteBuffer plain = ByteBuffer.allocate(70000);
        try {
            engine.beginHandshake();
            for (int i = 0; i < 200; i++) {
                HandshakeStatus status = engine.getHandshakeStatus();
                if (status == HandshakeStatus.NEED_TASK) {
                    for (Runnable task; (task = engine.getDelegatedTask()) != null; ) {
                        task.run();
                    }
                } else if (status == HandshakeStatus.NEED_UNWRAP) {
                    SSLEngineResult result = engine.unwrap(in, plain);
                    if (result.getStatus() != SSLEngineResult.Status.OK) {
                        return;
                    }
                } else {
                    return;
                }
            }
        } catch (SSLException | RuntimeException refused) {
            // It read what it read.
        }
    }

    public static void main(String[] arguments) throws Exception {
        Security.setProperty("jdk.tls.disabledAlgorithms", "");
        Security.setProperty("jdk.tls.legacyAlgorithms", "");
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(new KeyManager[] {new NoKeys()}, null, null);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false);
        for (String line; (line = lines.readLine()) != null; ) {
            isHello = false;
            name = null;
            serve(context, HexFormat.of().parseHex(line));
            out.println(name != null ? "name " + name : isHello ? "nameless" : "none");
        }
        out.flush();
    }
}

// What Go reads of ClientHellos: see openssl.c.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
)

// memory is a connection that holds all that will be read.
type memory struct {
	net.Conn
	in *bytes.Reader
}

func (m memory) Read(p []byte) (int, error)  { return m.in.Read(p) }
func (m memory) Write(p []byte) (int, error) { return len(p), nil }
func (m memory) Close() error                { return nil }

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		input, err := hex.DecodeString(lines.Text())
		if err != nil {
			panic(err)
		}
		answer := "none"
		config := &tls.Config{MinVersion: tls.VersionTLS10}
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			answer = "nameless"
			if hello.ServerName != "" {
				answer = "name " + hex.EncodeToString([]byte(hello.ServerName))
			}
			return nil, errors.New("read")
		}
		_ = tls.Server(memory{in: bytes.NewReader(input)}, config).Handshake()
		fmt.Fprintln(out, answer)
	}
}

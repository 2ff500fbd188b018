// Command centrifuge is a bare server on the library github.com/centrifugal/centrifuge: the memory
// engine, anonymous clients that may subscribe and publish, no history, no presence. It prints its
// address and serves until it is killed.
//
// Its settings are the library's defaults but for those that its documentation and examples give to
// a server with many connections: pooled write buffers and a read buffer of 1 KiB. Each connection
// has the default write queue: no write delay, up to 16 messages of the queue in one frame. Deflate
// is as cheap as the library can do it: best speed, from 1 KiB up, and compressed once for all
// members (CompressionPreparedMessageCacheSize, which it calls experimental).
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/centrifugal/centrifuge"
)

func main() {
	deflate := flag.Bool("deflate", false, "negotiate permessage-deflate")
	flag.Parse()
	if err := serve(*deflate); err != nil {
		fmt.Fprintln(os.Stderr, "centrifuge:", err)
		os.Exit(1)
	}
}

func serve(deflate bool) error {
	node, err := newNode()
	if err != nil {
		return err
	}
	if err := node.Run(); err != nil {
		return fmt.Errorf("run the node: %w", err)
	}
	config := centrifuge.WebsocketConfig{ReadBufferSize: 1024, UseWriteBufferPool: true}
	if deflate {
		config.Compression = true
		config.CompressionLevel = 1
		config.CompressionMinSize = 1024
		config.CompressionPreparedMessageCacheSize = 16 << 20
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	return http.Serve(listener, anonymous(centrifuge.NewWebsocketHandler(node, config)))
}

func newNode() (*centrifuge.Node, error) {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return nil, fmt.Errorf("make the node: %w", err)
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		return centrifuge.ConnectReply{}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
		client.OnPublish(func(_ centrifuge.PublishEvent, answer centrifuge.PublishCallback) {
			answer(centrifuge.PublishReply{}, nil)
		})
	})
	return node, nil
}

// anonymous gives every request the credentials of a nameless user, as the library wants.
func anonymous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := centrifuge.SetCredentials(r.Context(), &centrifuge.Credentials{})
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

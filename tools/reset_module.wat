;; Closes every request's stream without an answer; the proxy runs it on routes with `reset` or `drop` only.
;;
;; Proxy-Wasm ABI 0.2.1: https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
(module
  ;; 0 = the downstream stream; the returned status is of no interest: there is nothing else to try.
  (import "env" "proxy_close_stream" (func $close_stream (param $stream i32) (result i32)))

  (memory (export "memory") 1)

  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))

  ;; Where the host may write what it passes in: nothing of it is read, so always the same place.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    i32.const 1024)

  ;; 1 = started, configured.
  (func (export "proxy_on_vm_start") (param $context i32) (param $configuration_size i32) (result i32)
    i32.const 1)
  (func (export "proxy_on_configure") (param $context i32) (param $configuration_size i32) (result i32)
    i32.const 1)

  (func (export "proxy_on_context_create") (param $context i32) (param $parent i32))

  ;; 1 = pause: no later filter and no backend sees the request.
  (func (export "proxy_on_request_headers")
    (param $context i32) (param $headers i32) (param $end_of_stream i32) (result i32)
    i32.const 0
    call $close_stream
    drop
    i32.const 1))

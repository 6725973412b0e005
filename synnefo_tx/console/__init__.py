"""The VNC console: tickets, RFB, websocket proxy."""

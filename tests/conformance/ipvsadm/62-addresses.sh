# Recorded from ipvsadm 1.31 on Linux 6.1.
# What is an address and a port.
ipvsadm -A -t 10.9.0.1:http
ipvsadm -A -t 10.9.0.1:nosuchservice
ipvsadm -A -t 10.9.0.1:
ipvsadm -A -t 10.9.0.1:: -p
ipvsadm -A -t 10.9.0.1:-1
ipvsadm -A -t 10.9.0.1:65535
ipvsadm -A -t 10.9.0.1:65536
ipvsadm -A -t 10.9.0.1:0x50
ipvsadm -A -t 10.9.0.1:+81
ipvsadm -A -t '10.9.0.1: 82'
ipvsadm -A -t '10.9.0.1 :83'
ipvsadm -A -t 10.9:84
ipvsadm -A -t 10.9.1:85
ipvsadm -A -t 0x0a090001:86
ipvsadm -A -t 012.9.0.1:87
ipvsadm -A -t 168361985:88
ipvsadm -A -t 168361985
ipvsadm -A -t 80
ipvsadm -A -t :80
ipvsadm -A -t ''
ipvsadm -A -t 10.9.0.1 -p 60
ipvsadm -A -t [10.9.0.1]:89
ipvsadm -A -t [fd00::1]:80
ipvsadm -A -t [fd00::1] -p
ipvsadm -A -t fd00::2 -p
ipvsadm -A -t fd00::3:80 -p
ipvsadm -A -t [fd00::4]: -p
ipvsadm -A -t [fd00::5]:http
ipvsadm -A -t [fd00::5:80 -p
ipvsadm -A -t [fd00::5]80 -p
ipvsadm -A -t [fd00::zz]:80
ipvsadm -A -t [fe80::1%eth0]:80
ipvsadm -A -t localhost:90
ipvsadm -A -t [localhost]:91
ipvsadm -A -t nosuch.invalid:80
ipvsadm -A -u 10.9.0.1:domain
ipvsadm -A -u 10.9.0.1:tftp
ipvsadm -A -t 10.9.0.1:tftp
ipvsadm -A --sctp-service 10.9.0.1:http
ipvsadm -A --sctp-service 10.9.0.1:4739
ipvsadm -A --sctp-service 10.9.0.1:domain
ipvsadm -A --sctp-service [fd00::7]:80 -s wrr -p 30
ipvsadm -a --sctp-service 10.9.0.1:4739 -r 10.0.0.11 -m
ipvsadm -a -t 10.9.0.1:http -r 10.0.0.11:http -m
ipvsadm -a -t 10.9.0.1:http -r 10.0.0.12: -m
ipvsadm -a -t 10.9.0.1:http -r 10.0.0.13:0 -g
ipvsadm -a -t 10.9.0.1:http -r 10.0.0.14:99999 -m
ipvsadm -a -t 10.9.0.1:http -r 80 -m
ipvsadm -a -t 10.9.0.1:http -r nosuch.invalid -m
ipvsadm -a -r 10.0.0.16 -t 10.9.0.1:http -g
ipvsadm -a -m -r 10.0.0.17:tftp -u 10.9.0.1:tftp
ipvsadm -a -t 10.9.0.1:http -r fd00::11 -m
ipvsadm -a -t 10.9.0.1:http -r fd00::11
ipvsadm -a -t 10.9.0.1:http -r fd00::11 -i
ipvsadm -a -t 10.9.0.1:http -r [fd00::12]:8080 -i
ipvsadm -a -t [fd00::1]:80 -r 10.0.0.18 -i
ipvsadm -a -t [fd00::1]:80 -r 10.0.0.19:81 -g
ipvsadm -a -t 10.9.0.1:http -r 0.0.0.0 -m
ipvsadm -a -t 10.9.0.1:http -r 255.255.255.255 -m
ipvsadm -a -t 10.9.0.1:http -r 224.0.0.5 -m
ipvsadm -a -t [fd00::1]:80 -r ff02::1 -g
ipvsadm -a -t [fd00::1]:80 -r :: -g
ipvsadm -a -t 10.9.0.1:90 -r 10.0.0.2 -m
ipvsadm -a -t localhost:90 -r 10.0.0.2 -m
ipvsadm -a -t localhost:90 -r localhost -g
ipvsadm -Ln
ipvsadm -L
ipvsadm -Sn
ipvsadm -S
ipvsadm -Ln -t 10.9.0.1:http
ipvsadm -Ln -u 10.9.0.1:http
ipvsadm -L -u 10.9.0.1:tftp
ipvsadm -L -t [fd00::1]:80
ipvsadm -L -t fd00::2
ipvsadm -L --sctp-service 10.9.0.1:4739
ipvsadm -d -t 10.9.0.1:80 -r 10.0.0.11:80
ipvsadm -d -t 10.9.0.1:80 -r 10.0.0.12:0
ipvsadm -d -t 10.9.0.1:80 -r 10.0.0.15
ipvsadm -d -t 10.9.0.1:80 -r fd00::11
ipvsadm -d -t 10.9.0.1:80 -r 10.0.0.16 -m
ipvsadm -d -t [fd00::1]:80 -r 10.0.0.18
ipvsadm -e -t 10.9.0.1:80 -r [fd00::12]:80 -i -w 9
ipvsadm -e -t 10.9.0.1:80 -r [fd00::12]:80 -w 9
ipvsadm -D -t [fd00::1]:80
ipvsadm -Ln

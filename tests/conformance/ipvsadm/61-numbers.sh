# Recorded from ipvsadm 1.31 on Linux 6.1.
# What is a number.
ipvsadm -A -t 10.9.0.1:80 -s rr
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.1 -w 0
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.2 -w 2147483647
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.3 -w 2147483648
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.4 -w 0x10
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.5 -w 010
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.6 -w ' 5'
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.7 -w +5
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.8 -w '5 '
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.9 -w ''
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.10 -w 1.5
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.10 -w 99999999999999999999999
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.11 -x 65535 -y 65535
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.12 -x 65536 -y 3
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.13 -x 2147483647
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.14 -x 2147483648
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.15 -x abc
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.16 -y -1
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.17 -y abc
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.18 -y 5
ipvsadm -a -t 10.9.0.1:80 -r 10.0.0.19 -x 0 -y 0
ipvsadm -Ln --thresholds
ipvsadm -Ln
ipvsadm -A -f 1
ipvsadm -A -f 4294967295
ipvsadm -A -f 4294967296
ipvsadm -A -f 4294967297
ipvsadm -A -f -1
ipvsadm -A -f -2
ipvsadm -A -f 0x10
ipvsadm -A -f 010
ipvsadm -A -f ' 9'
ipvsadm -A -f '9 '
ipvsadm -A -f +11
ipvsadm -A -f ''
ipvsadm -A -f 99999999999999999999999
ipvsadm -A -f 7abc
ipvsadm -A -t 10.9.0.2:80 -p 2678400
ipvsadm -A -t 10.9.0.2:81 -p 2678401
ipvsadm -A -t 10.9.0.2:82 -p -1
ipvsadm -A -t 10.9.0.2:83 -p 0x10
ipvsadm -A -t 10.9.0.2:84 -p ''
ipvsadm -A -t 10.9.0.2:85 -p 1
ipvsadm -A -t 10.9.0.2:87 -p 60 -M /24
ipvsadm -A -t 10.9.0.2:88 -p 60 -M 255.255.255.300
ipvsadm -A -t 10.9.0.2:89 -p 60 -M 0.0.0.0
ipvsadm -A -t 10.9.0.2:91 -p 60 -M 0xffffff00
ipvsadm -A -t 10.9.0.2:92 -p 60 -M 255.255.255.255
ipvsadm -A -t 10.9.0.2:93 -p 60 -M ''
ipvsadm -A -t 10.9.0.2:94 -p 60 -M 255.255.128.0
ipvsadm -A -t 10.9.0.2:95 -p 60 -M 128.0.0.0
ipvsadm -A -M 255.255.0.0 -p -t 10.9.0.2:96
ipvsadm -A -t [fd00::1]:80 -p 60 -M 0
ipvsadm -A -t [fd00::1]:81 -p 60 -M 129
ipvsadm -A -t [fd00::1]:82 -p 60 -M 1
ipvsadm -A -t [fd00::1]:83 -p 60 -M 128
ipvsadm -A -t [fd00::1]:84 -p 60 -M abc
ipvsadm -A -t [fd00::1]:85 -p 60 -M 64x
ipvsadm -A -t [fd00::1]:86 -p 60 -M 255.255.255.0
ipvsadm -A -M 64 -p 60 -t [fd00::1]:87
ipvsadm -A -f 20 -M 255.255.0.0 -p
ipvsadm -A -f 21 -6 -M 56 -p
ipvsadm -A -f 22 -M 255.255.0.0 -6 -p
ipvsadm -A -6 -f 23
ipvsadm -Ln
ipvsadm -Sn

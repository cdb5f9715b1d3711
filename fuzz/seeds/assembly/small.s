.region gemm
.data 0 e4m3fn =1 =2 =3 =4
mark gemm
format f0, e4m3fn
tensor t0, f0, dram, 0, 2, 2
loop 3, 1
advance t0, -4
halt

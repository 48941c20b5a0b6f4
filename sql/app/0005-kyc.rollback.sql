DROP TABLE public.kyc_documents;
DROP TABLE public.kyc_applications;
